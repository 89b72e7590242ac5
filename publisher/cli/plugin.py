"""`docker publish …`: docker's CLI starts this program where it lies among its plugins as `docker-publish`.

Sources: github.com/docker/cli, cli-plugins/manager and cli-plugins/plugin; github.com/spf13/cobra, completions.go.
"""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Final

from publisher import __version__
from publisher.cli import start

if TYPE_CHECKING:
    from collections.abc import MutableMapping, Sequence

METADATA: Final = {
    "SchemaVersion": "0.1.0",
    "Vendor": "publish",
    "Version": __version__,
    "ShortDescription": "Release images and keep their tags true",
}
NAME: Final = "publish"
# docker's own options before the plugin's name, and the variable that says the same.
_VARIABLES: Final = {
    "-c": "DOCKER_CONTEXT", "--context": "DOCKER_CONTEXT",
    "-H": "DOCKER_HOST", "--host": "DOCKER_HOST",
    "--config": "DOCKER_CONFIG",
    "-l": None, "--log-level": None,
}  # fmt: skip
_COMPLETING: Final = {"__complete", "__completeNoDesc"}
# cobra's ShellCompDirective: what else the shell may do.
_DEFAULT, _NO_FILES = 0, 4


def main() -> None:
    """Answer docker's questions about the plugin, or run `publish` on what follows `docker publish`."""
    words = sys.argv[1:]
    if words[:1] == ["docker-cli-plugin-metadata"]:
        sys.stdout.write(json.dumps(METADATA) + "\n")
        return
    if words and words[0] in _COMPLETING:
        sys.stdout.write(complete(split_arguments(words[1:], os.environ)))
        return
    if words[:2] == ["help", NAME]:
        words = [NAME, *words[2:], "--help"]
    start(split_arguments(words, os.environ), name=f"docker {NAME}")


def split_arguments(words: Sequence[str], environ: MutableMapping[str, str]) -> list[str]:
    """The words behind the plugin's name; what docker was told before it goes into the environment."""
    if NAME not in words:
        return list(words)
    index = words.index(NAME)
    docker_words = iter(words[:index])
    for word in docker_words:
        option, equals, value = word.partition("=")
        if option in _VARIABLES:
            value = value if equals else next(docker_words, "")
            if variable := _VARIABLES[option]:
                environ[variable] = value
    return list(words[index + 1 :])


def complete(words: Sequence[str]) -> str:
    """What may stand for the last word, one a line, and cobra's directive."""
    from click.shell_completion import ShellComplete

    from publisher.cli.program import program

    items = ShellComplete(program, {}, NAME, "").get_completions(list(words[:-1]), words[-1] if words else "")
    lines = [f"{item.value}\t{item.help or ''}".rstrip() for item in items if item.type == "plain"]
    files = any(item.type != "plain" for item in items)
    return "\n".join([*lines, f":{_DEFAULT if files else _NO_FILES}"]) + "\n"


if __name__ == "__main__":
    main()
