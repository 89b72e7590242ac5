"""What surrounds a release: git, the CI's variables, the project's metadata, the configuration file."""
