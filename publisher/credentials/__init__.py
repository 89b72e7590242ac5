"""Where credentials come from; each source answers found, absent or broken."""
