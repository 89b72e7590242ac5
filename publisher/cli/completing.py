"""What a shell completes after a command: what this machine's receipts know, since a registry would answer too late."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from click.shell_completion import BashComplete, add_completion_class, split_arg_string

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


def matching(incomplete: str, names: Iterable[str]) -> list[str]:
    """The names that begin so, each once."""
    return [name for name in dict.fromkeys(names) if name.startswith(incomplete)]


def _references() -> Iterator[Reference]:
    return (change.reference for receipt in _receipts() for change in receipt.moves)


def _receipts() -> tuple[Receipt, ...]:
    from publisher.receipts.journal import Journal, receipts_folder

    return Journal(receipts_folder(os.environ)).list()[0]
