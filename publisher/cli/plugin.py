"""`docker publish …`: docker's CLI starts this program where it lies among its plugins as `docker-publish`.

Source: github.com/docker/cli, cli-plugins/manager.
"""

from __future__ import annotations

import json
import sys

from publisher import __version__

METADATA = {
    "SchemaVersion": "0.1.0",
    "Vendor": "publish",
    "Version": __version__,
    "ShortDescription": "Release images and keep their tags true",
}


def main() -> None:
    """Answer docker's question about the plugin, or run `publish` on what follows `docker publish`."""
    words = sys.argv[1:]
    if words[:1] == ["docker-cli-plugin-metadata"]:
        sys.stdout.write(json.dumps(METADATA) + "\n")
        return
    from publisher.cli.program import run

    sys.exit(run(words[1:] if words[:1] == ["publish"] else words))
