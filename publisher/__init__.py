"""publish: put container images into registries and keep their tags true."""

__version__ = "0.1.0"
