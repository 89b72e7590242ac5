"""Smoke runs: which image, how it is run, what is checked."""
