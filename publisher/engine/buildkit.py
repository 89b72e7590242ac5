"""What a Dockerfile needs of its builder: images that it names, and features that only BuildKit has."""

from __future__ import annotations

import re
from itertools import takewhile
from typing import TYPE_CHECKING, Final

from publisher.engine.dockerfile import read_dockerfile

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from publisher.engine.dockerfile import Instruction

_SYNTAX: Final = re.compile(r"#\s*syntax\s*=\s*(\S+)\s*", re.IGNORECASE)
_VARIABLE: Final = re.compile(r"\$(?:(?P<bare>\w+)|\{(?P<name>\w+)(?::?(?P<sign>[-+])(?P<word>[^}]*))?\})")
# What the classic builder knows; every other option is BuildKit's.
_CLASSIC: Final[Mapping[str, frozenset[str]]] = {
    "FROM": frozenset({"platform"}),
    "COPY": frozenset({"from", "chown"}),
    "ADD": frozenset({"chown"}),
    "RUN": frozenset(),
}
_AUTOMATIC: Final = re.compile(r"\$\{?((?:BUILD|TARGET)(?:PLATFORM|OS|ARCH|VARIANT))\b")
_AUTOMATIC_NAME: Final = re.compile(r"(?:BUILD|TARGET)(?:PLATFORM|OS|ARCH|VARIANT)")
_PREDEFINED: Final = re.compile(r"(?i:(?:https?|ftp|no|all)_proxy)|SOURCE_DATE_EPOCH|BUILDKIT_\w+")


def syntax_of(text: str) -> str | None:
    """The image of `# syntax=`, which stands in the comments before all else."""
    head = takewhile(lambda line: line.startswith("#"), (line.strip() for line in text.lstrip("\ufeff").splitlines()))
    return next((match[1] for line in head if (match := _SYNTAX.fullmatch(line))), None)


def buildkit_features(text: str, args: Iterable[str]) -> tuple[str, ...]:
    """What of a Dockerfile only BuildKit understands, as "line 3: RUN --mount". args: the build's own."""
    syntax = syntax_of(text)
    found = [f"line 1: # syntax={syntax}"] if syntax else []
    given = set(args)
    for one in read_dockerfile(text):
        found += [f"line {one.line}: {feature}" for feature in _features(one, given)]
        given |= _defaults(one)
    return tuple(found)


def _features(instruction: Instruction, given: set[str]) -> Iterator[str]:
    known = _CLASSIC.get(instruction.word)
    options = _options(instruction.rest) if known is not None else {}
    yield from (f"{instruction.word} --{name}" for name in options if name not in (known or ()))
    if instruction.heredocs:
        yield f"a heredoc of {instruction.word}"
    if instruction.word == "ADD" and any(_is_git(source) for source in instruction.sources):
        yield "ADD of a git repository"
    names = _AUTOMATIC.findall(instruction.rest)
    if instruction.word == "ARG" and _AUTOMATIC_NAME.fullmatch(instruction.rest.strip()):
        names = [instruction.rest.strip()]
    yield from (f"${name}" for name in dict.fromkeys(names) if name not in given)


def _is_git(source: str) -> bool:
    return source.startswith(("git@", "git://")) or re.search(r"\.git(?:#|$)", source) is not None


def _defaults(instruction: Instruction) -> set[str]:
    """Arguments that the Dockerfile itself gives a value."""
    return (
        {instruction.rest.partition("=")[0].strip()} if instruction.word == "ARG" and "=" in instruction.rest else set()
    )


def _options(rest: str) -> dict[str, str]:
    words = takewhile(lambda word: word.startswith("--"), rest.split())
    pairs = (word.removeprefix("--").partition("=") for word in words)
    return {name: value for name, _, value in pairs}


def unused_arguments(text: str, args: Iterable[str]) -> tuple[str, ...]:
    """The arguments that no ARG of a Dockerfile names, and that no builder knows by itself."""
    named = {word.partition("=")[0] for one in read_dockerfile(text) if one.word == "ARG" for word in one.rest.split()}
    return tuple(name for name in args if name not in named and not _PREDEFINED.fullmatch(name))


def named_images(text: str, args: Mapping[str, str]) -> tuple[str, ...]:
    """The images that a build may pull: of FROM, COPY --from, mounts and `# syntax=`; none that can't be told."""
    instructions = read_dockerfile(text)
    values: dict[str, str] = {}
    stages: set[str] = set()
    found: list[str | None] = [syntax_of(text)]
    for number, one in enumerate(instructions):
        if one.word == "ARG" and not any(before.word == "FROM" for before in instructions[:number]):
            _learn(one.rest, args, values)
        found += [image for image in _images_of(one, values) if image.lower() not in stages and not image.isdigit()]
        if one.word == "FROM" and len(words := one.rest.split()) > len(("AS", "name")) and words[-2].upper() == "AS":
            stages.add(words[-1].lower())
    return tuple(dict.fromkeys(image for image in found if image and image != "scratch" and "$" not in image))


def _learn(rest: str, args: Mapping[str, str], values: dict[str, str]) -> None:
    """What an ARG before the first FROM is worth."""
    for word in rest.split():
        name, _, default = word.partition("=")
        value = args.get(name, _expand(default.strip("\"'"), values))
        if name in args or default:
            values[name] = value


def _images_of(instruction: Instruction, values: Mapping[str, str]) -> Iterator[str]:
    if instruction.word == "FROM":
        words = [word for word in instruction.rest.split() if not word.startswith("--")]
        yield from (_expand(word, values) for word in words[:1])
    elif instruction.word == "COPY" and (source := _options(instruction.rest).get("from")):
        yield _expand(source, values)
    elif instruction.word == "RUN":
        for word in takewhile(lambda word: word.startswith("--"), instruction.rest.split()):
            if word.startswith("--mount=") and (match := re.search(r"[=,]from=([^,]+)", word)):
                yield _expand(match[1], values)


def _expand(text: str, values: Mapping[str, str]) -> str:
    """Variables replaced as a Dockerfile's are; one that has no value stays."""

    def value(match: re.Match[str]) -> str:
        known = values.get(match["bare"] or match["name"])
        if match["sign"] == "-":
            return known or match["word"]
        if match["sign"] == "+":
            return match["word"] if known else ""
        return match[0] if known is None else known

    return _VARIABLE.sub(value, text)
