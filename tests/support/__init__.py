"""The real parts that tests run against: engine, registry, images, git, and publish itself."""
