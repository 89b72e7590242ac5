"""Completion in bash, where click's own stumbles over references: to bash a colon ends a word."""

from __future__ import annotations

import os
from typing import Final

from click.shell_completion import BashComplete, add_completion_class, split_arg_string

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
        begun = words.pop() if words and not line[-1].isspace() else ""
        return words, begun


def register() -> None:
    """Let click use it in place of its own."""
    add_completion_class(Bash)
