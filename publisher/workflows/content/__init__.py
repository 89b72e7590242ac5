"""Content of a release: where it comes from, and how it reaches the registries."""
