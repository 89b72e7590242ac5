"""Signed statements about images: made, read and checked, without any network."""
