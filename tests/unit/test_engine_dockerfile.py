"""The reader of Dockerfiles: lines, continuations, heredocs and parser directives as BuildKit reads them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from publisher.engine.advice import Surroundings, advise
from publisher.engine.dockerfile import Instruction, read_dockerfile

MOTD = """\
# syntax=docker/dockerfile:1
FROM scratch
COPY --chmod=755 busybox /bin/sh
COPY <<EOT /etc/motd
hello
EOT
"""

# A line that begins heredocs or doesn't, and the contents that follow it; after them stands `USER last`.
HEREDOCS = {
    "RUN": ("RUN <<EOF\nCOPY . .\nEOF", ["COPY . .\n"]),
    "COPY": ("COPY <<EOF /a\nFROM b\n# c\n\nEOF", ["FROM b\n# c\n\n"]),
    "ADD": ("ADD <<EOF /a\nx\nEOF", ["x\n"]),
    "in small letters": ("run <<EOF\nx\nEOF", ["x\n"]),
    "empty": ("COPY <<EOF /a\nEOF", [""]),
    "several": ("COPY <<EOF <<EOF2 /a/\nEOF2\nEOF\nEOF\nEOF2", ["EOF2\n", "EOF\n"]),
    "ended by its own word only": ("RUN <<EOF\n EOF\nEOF \nEOF", [" EOF\nEOF \n"]),
    "without its tabs": ("RUN <<-EOT\n\tx\n\t\ty\n\tEOT", ["x\ny\n"]),
    "with its spaces": ("RUN <<-EOT\n x\nEOT", [" x\n"]),
    "in double quotes": ('RUN <<"EOF"\nx\nEOF', ["x\n"]),
    "in single quotes": ("RUN <<'EOF'\nx\nEOF", ["x\n"]),
    "partly in quotes": ("RUN <<E'O'F\nx\nEOF", ["x\n"]),
    "with a space in quotes": ("RUN <<'A B'\nx\nA B", ["x\n"]),
    "escaped": ("RUN <<\\EOF\nx\nEOF", ["x\n"]),
    "after a space": ("RUN << EOF\nx\nEOF", ["x\n"]),
    "for a file descriptor": ("RUN cat 3<<EOF <&3\nx\nEOF", ["x\n"]),
    "behind a command": ("RUN cat <<EOF > /x && true\nx\nEOF", ["x\n"]),
    "behind options": ("RUN --mount=type=cache,target=/c <<EOF\nx\nEOF", ["x\n"]),
    "on a continued line": ("RUN a && \\\n  cat <<EOF\nx \\\nEOF", ["x \\\n"]),
    "within ONBUILD": ("ONBUILD RUN <<EOF\nx\nEOF", ["x\n"]),
    "with a variable's name": ("RUN <<$EOF\nx\n$EOF", ["x\n"]),
    "with carriage returns": ("RUN <<EOF\r\nx\r\nEOF\r", ["x\n"]),
    "not within double quotes": ('RUN sh -c "cat <<EOF"', []),
    "not within single quotes": ("RUN sh -c 'cat <<EOF'", []),
    "not behind an escaped quote": (r'RUN echo "\" <<EOF"', []),
    "not where a quote stays open": ("RUN echo don't <<EOF", []),
    "not in a list": ('RUN ["cat", "<<EOF"]', []),
    "not a here-string": ("RUN cat <<<EOF", []),
    "not within a word": ("RUN cat<<EOF", []),
    "not a shift": ("RUN echo $((1<<2))", []),
    "not in other instructions": ("CMD cat <<EOF", []),
    "not in a label": ("LABEL a=<<EOF", []),
}


@pytest.mark.parametrize(("text", "contents"), HEREDOCS.values(), ids=list(HEREDOCS))
def test_heredocs(text: str, contents: list[str]) -> None:
    """Lines of a heredoc are no instructions; where there is none, the next line is one."""
    first, last = read_dockerfile(f"{text}\nUSER last\n")
    assert list(first.heredocs) == contents
    assert (last.word, last.rest, last.line) == ("USER", "last", text.count("\n") + 2)


def test_a_heredoc_without_its_end_goes_to_the_last_line() -> None:
    """The builder will refuse it; what a builder shows of a step is one too."""
    (instruction,) = read_dockerfile("RUN <<EOF (npm ci...)\nCOPY . .")
    assert instruction == Instruction(1, "RUN", "<<EOF (npm ci...)", ("COPY . .\n",))


def test_what_a_heredoc_holds_is_not_copied_from_the_context() -> None:
    """Neither its word nor its lines are paths."""
    *_others, copied = read_dockerfile(MOTD)
    assert (copied.line, copied.sources, copied.target) == (4, [], "/etc/motd")
    (mixed,) = read_dockerfile("COPY <<EOF a /b/\nx\nEOF\n")
    assert mixed.sources == ["a"]


# A RUN, and what of it the shell runs.
SCRIPTS = {
    "its line": ("RUN npm ci", "npm ci"),
    "a heredoc in its place": ("RUN --network=none <<EOF\nset -e\n  npm ci\nEOF", "set -e\nnpm ci"),
    "a heredoc of a shell": ("RUN <<EOF\n#!/bin/bash\nnpm ci\nEOF", "npm ci"),
    "no comments in it": ("RUN <<EOF\n# npm ci\ntrue\nEOF", "true"),
    "no other program's": ("RUN <<EOF\n#!/usr/bin/env python3\nnpm ci\nEOF", ""),
    "no file that it writes": ("RUN cat <<EOF > /start\nnpm start\nEOF", "cat <<EOF > /start"),
}


@pytest.mark.parametrize(("text", "script"), SCRIPTS.values(), ids=list(SCRIPTS))
def test_scripts(text: str, script: str) -> None:
    """A heredoc alone is run by the shell."""
    assert read_dockerfile(text)[0].script == script


# Dockerfiles with heredocs, and the rules and lines of the advice about them.
ADVISED = {
    "a file": (MOTD, [("workdir", 2)]),
    "a script's words": ("FROM a\nWORKDIR /app\nRUN <<EOF\ncopy . .\nCMD x\nVOLUME /app\nEOF\nCOPY b .\n", []),
    "a script that installs": (
        "FROM a\nWORKDIR /app\nCOPY . .\nRUN <<EOF\nset -e\nnpm ci\nEOF\n", [("copy-before-install", 3)]
    ),
    "a script that starts a server": ("FROM a\nWORKDIR /app\nRUN <<EOF\nnode app.js\nEOF\n", [("server-in-run", 3)]),
    "a script that is written": ("FROM a\nWORKDIR /app\nRUN cat <<EOF >/s\nnode app.js\nEOF\n", []),
    "a Dockerfile of Windows": (
        "# escape=`\nFROM a\nWORKDIR C:\\app\\\nCOPY . C:\\app\\\nRUN dir `\n  C:\\\n", []
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "advice"), ADVISED.values(), ids=list(ADVISED))
def test_advice_about_heredocs(text: str, advice: list[tuple[str, int]]) -> None:
    """It is about what is built, and true."""
    assert [(advice.rule, advice.line) for advice in advise(text, Surroundings())] == advice


# What stands at the top, and whether a backtick, and not a backslash, then continues a line.
ESCAPES = {
    "nothing": ("", False),
    "the directive": ("# escape=`\n", True),
    "without a space": ("#escape=`\n", True),
    "in other letters": ("#  Escape = ` \n", True),
    "behind a byte order mark": ("\ufeff# escape=`\n", True),
    "behind other directives": ("# syntax=docker/dockerfile:1\n# check=skip=all\n# escape=`\n", True),
    "the backslash": ("# escape=\\\n", False),
    "another character": ("# escape=^\n", False),
    "two characters": ("# escape=``\n", False),
    "behind a comment": ("# a comment\n# escape=`\n", False),
    "behind an unknown directive": ("# other=x\n# escape=`\n", False),
    "behind an empty line": ("\n# escape=`\n", False),
    "behind an instruction": ("ARG a\n# escape=`\n", False),
}


@pytest.mark.parametrize(("top", "backtick"), ESCAPES.values(), ids=list(ESCAPES))
def test_escape(top: str, *, backtick: bool) -> None:
    """Directives stand at the very top; two characters can escape."""
    with_backslash = read_dockerfile(f"{top}RUN a \\\n  b\n")
    with_backtick = read_dockerfile(f"{top}RUN a `\n  b\n")
    assert (with_backtick[-1].rest == "a b") is backtick
    assert (with_backslash[-1].rest == "a b") is not backtick


# A text, and the instructions in it with their lines.
LINES = {
    "comments and empty lines": (
        "# x\nFROM a\n\nRUN a \\\n# y\n  b\nCMD c\n", [(2, "FROM", "a"), (4, "RUN", "a b"), (7, "CMD", "c")]
    ),
    "an empty line in between": ("RUN a \\\n\n  b\nUSER c\n", [(1, "RUN", "a b"), (4, "USER", "c")]),
    "spaces behind the escape": ("RUN a \\ \t\n  b\n", [(1, "RUN", "a b")]),
    "an escaped escape": ("RUN a \\\\\nUSER c\n", [(1, "RUN", "a \\\\"), (2, "USER", "c")]),
    "an escape at the end": ("RUN a \\", [(1, "RUN", "a")]),
    "a tab": ("RUN\ta\n", [(1, "RUN", "a")]),
    "only a word": ("RUN\n", [(1, "RUN", "")]),
    "other ends of lines": ("RUN a\fb\u2028c\nUSER c\n", [(1, "RUN", "a\fb\u2028c"), (2, "USER", "c")]),
}  # fmt: skip


@pytest.mark.parametrize(("text", "instructions"), LINES.values(), ids=list(LINES))
def test_lines(text: str, instructions: list[tuple[int, str, str]]) -> None:
    """Comments and continued lines don't shift the line of an instruction."""
    assert [(read.line, read.word, read.rest) for read in read_dockerfile(text)] == instructions


@given(st.text(alphabet="RUN COPY<-\"'\\`EOF\n#= \t", max_size=80))
@settings(deadline=None)
def test_any_text_is_read(text: str) -> None:
    """Every line belongs to one instruction at most, in order, and none is lost in a loop."""
    lines = [instruction.line for instruction in read_dockerfile(text)]
    assert lines == sorted(set(lines))
    assert all(1 <= line <= text.count("\n") + 1 for line in lines)
