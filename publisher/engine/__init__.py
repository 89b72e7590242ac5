"""The container engine, through docker-py: look, export, push, pull."""
