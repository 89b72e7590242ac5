"""Ratios against docker push and bare costs, measured in one run: `python -m tests.bench`."""
