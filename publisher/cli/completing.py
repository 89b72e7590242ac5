"""What a shell completes after a command: what this machine's receipts know, since a registry would answer too late."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from click.shell_completion import (
    BashComplete,
    CompletionItem,
    ShellComplete,
    add_completion_class,
    split_arg_string,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import click

    from publisher.model.receipt import Receipt
    from publisher.model.reference import Reference


# The words come from the line as it was typed, since bash's own are cut at every colon. What readline will replace is
# only what stands behind the last character that breaks words: each answer loses what stands before it.
_BASH: Final = r"""%(complete_func)s() {
    local line=${COMP_LINE:0:COMP_POINT} breaks=${COMP_WORDBREAKS//[[:space:]\'\"]/} word kept= response type value
    word=${line##*[[:space:]]}
    [[ $word == -*=* ]] && word=${word#*=}
    [[ $word == *[\'\"]* || -z $breaks ]] || kept=${word%%"${word##*["$breaks"]}"}
    response=$(env COMP_WORDS="$line" %(complete_var)s=bash_complete "$1")
    COMPREPLY=()
    while IFS=, read -r type value; do
        case $type in
            dir) compopt -o dirnames ;;
            file) compopt -o default ;;
            plain) COMPREPLY+=("${value#"$kept"}") ;;
        esac
    done <<<"$response"
}
complete -o nosort -F %(complete_func)s %(prog_name)s
"""


_FILES: Final = ("oci", "oci-archive", "docker-archive")
_DAEMON: Final = "docker-daemon:"


class Bash(BashComplete):
    """COMP_WORDS holds the line up to the cursor."""

    source_template = _BASH

    def get_completion_args(self) -> tuple[list[str], str]:
        """The whole words after the program, and the one that is begun."""
        line = os.environ["COMP_WORDS"]
        words = split_arg_string(line)[1:]
        incomplete = words.pop() if words and not line[-1].isspace() else ""
        return words, incomplete


def register() -> None:
    """Let click use it in place of its own."""
    add_completion_class(Bash)


def receipt_ids(_ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """The ids of receipts, newest first."""
    return matching(incomplete, (receipt.id for receipt in _receipts()))


def references(_ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """The references that runs on this machine wrote, as docker's users write them."""
    return matching(incomplete, (reference.familiar for reference in _references()))


def repositories(_ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """The repositories that runs on this machine wrote to."""
    return matching(incomplete, (reference.repository.familiar for reference in _references()))


def tags(ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """The tags that runs on this machine wrote to the repository that the command names."""
    repository = ctx.params.get("repository")
    return matching(
        incomplete, (str(reference.tag) for reference in _references() if reference.repository.familiar == repository)
    )


def versions(_ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """The versions that were released from this machine."""
    return matching(
        incomplete, (receipt.plan.release for receipt in _receipts() if receipt.plan and receipt.plan.release)
    )


def registries(_ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """The registries that `publish login` was at."""
    from publisher.credentials.docker_config import key_of
    from publisher.credentials.helper_protocol import read_index
    from publisher.credentials.logins import index_file
    from publisher.model.reference import DOCKER_HUB

    file = index_file(os.environ)
    index = read_index(file.read_text()) if file.is_file() else {}
    return matching(incomplete, (DOCKER_HUB if key == key_of(DOCKER_HUB) else key for key in index))


def image_names(ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """The NAMEs of `[images.NAME]` in the configuration that the command would read."""
    from publisher.facts.configuration import load
    from publisher.model.errors import PublishError

    config = ctx.find_root().params.get("config")
    try:
        images = load(Path(config) if config else None, Path.cwd()).settings.images
    except PublishError:
        return []
    return matching(incomplete, images if isinstance(images, dict) else ())


def sources(_ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """What can be released: the engine's images, and behind a transport the files that are there."""
    transport, colon, path = incomplete.partition(":")
    if colon and transport in _FILES:
        return [f"{transport}:{name}" for name in _paths(path)]
    bare = incomplete.removeprefix(_DAEMON)
    images = matching(bare, _local_images())
    return [incomplete.removesuffix(bare) + name for name in images] + matching(incomplete, [f"{t}:" for t in _FILES])


def local_images(_ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """The engine's images."""
    return matching(incomplete, _local_images())


def commands(ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """A command with its words: publish's as it completes them itself, any other's as files."""
    words: tuple[str, ...] = ctx.params.get("words") or ()
    if not words:
        return [CompletionItem(name) for name in matching(incomplete, ("publish", *_programs(incomplete)))]
    if Path(words[0]).name != "publish":
        return [CompletionItem(incomplete, type="file")]
    own = ShellComplete(ctx.find_root().command, {}, "publish", "")
    return own.get_completions(list(words[1:]), incomplete)


def _programs(start: str) -> Iterator[str]:
    """The programs on the path that begin so; none before the first letter, since there are thousands."""
    for folder in os.environ.get("PATH", "").split(os.pathsep) if start else ():
        yield from (path for path in _entries(Path(folder), start) if os.access(Path(folder) / path, os.X_OK))


def _paths(start: str) -> list[str]:
    """The files and folders whose path begins so."""
    name = start.rpartition("/")[2]
    above = start.removesuffix(name)
    return [f"{above}{entry}" for entry in _entries(Path(above or "."), name)]


def _entries(folder: Path, start: str) -> list[str]:
    """The names in a folder that begin so, those of folders with a slash."""
    with suppress(OSError):
        names = (entry.name + ("/" if entry.is_dir() else "") for entry in folder.iterdir())
        return sorted(name for name in names if name.startswith(start))
    return []


def _local_images() -> list[str]:
    from publisher.engine.image_list import image_names as names_in_engine

    return names_in_engine(os.environ)


def matching(incomplete: str, names: Iterable[str]) -> list[str]:
    """The names that begin so, each once."""
    return [name for name in dict.fromkeys(names) if name.startswith(incomplete)]


def _references() -> Iterator[Reference]:
    return (change.reference for receipt in _receipts() for change in receipt.moves)


def _receipts() -> tuple[Receipt, ...]:
    from publisher.receipts.journal import Journal, receipts_folder

    return Journal(receipts_folder(os.environ)).list()[0]
