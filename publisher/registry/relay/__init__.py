"""A loopback registry that an engine pushes to: it answers from the target and streams uploads there."""
