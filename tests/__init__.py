"""The tests of publish."""
