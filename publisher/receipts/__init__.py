"""Receipts: the journal on disk."""
