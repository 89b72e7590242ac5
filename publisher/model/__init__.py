"""The nouns: references, digests, manifests, plans, receipts, errors. No I/O; parsed once, then trusted."""
