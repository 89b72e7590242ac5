"""Docker Hub's own API, which is another service than its registry, with other tokens."""
