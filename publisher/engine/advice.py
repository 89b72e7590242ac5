"""What in a Dockerfile defeats the cache or ships what it shouldn't, told by line."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import msgspec

from publisher.engine.dockerfile import read_dockerfile
from publisher.model.value import Value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from publisher.engine.dockerfile import Instruction

_INSTALLS: Final = re.compile(
    r"\b(?:npm (?:ci|i|install)|yarn(?: install)?$|pnpm (?:i|install)|pip3? install|poetry install|uv sync"
    r"|bundle install|composer install|go mod download|cargo (?:build|fetch)|mvn |gradle |dotnet restore)",
    re.MULTILINE,
)
_SERVERS: Final = re.compile(
    r"(?:^|&& *|; *)(?:npm (?:run )?start|yarn start|node \S+\.m?js$|nginx(?: |$)|httpd(?: |$)|apachectl |flask run"
    r"|uvicorn |gunicorn |python3? -m http\.server|python3? manage\.py runserver|rails s(?:erver)?\b|java -jar )",
    re.MULTILINE,
)
_SECRETS: Final = re.compile(r"(?:^|/)(?:\.git|\.env(?:\.\w+)?|id_(?:rsa|ed25519|ecdsa)|[^/]+\.(?:pem|key|p12|pfx))$")


class Advice(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to do better. line: in the Dockerfile, 0 for what stands in none. rule: its name."""

    line: int
    rule: str
    message: str


class Surroundings(Value, frozen=True, kw_only=True):
    """What lies around a Dockerfile. files: what the context ships, paths without their folder's.

    ignores: whether there is a .dockerignore. ports: those that the smoke run uses. workdir and exposed: those of the
    image that was built, which may come from its base.
    """

    files: tuple[str, ...] = ()
    ignores: bool = True
    ports: tuple[int, ...] = ()
    workdir: str = ""
    exposed: tuple[int, ...] = ()


def advise(text: str, around: Surroundings) -> tuple[Advice, ...]:
    """All advice, by line."""
    instructions = read_dockerfile(text)
    found = [one for look in _LOOKS for one in look(instructions, around)]
    return tuple(sorted(found, key=lambda one: (one.line, one.rule)))


def _last_stage(instructions: Iterable[Instruction]) -> list[Instruction]:
    """What makes the image: the last stage, and before it the stages that it stands on."""
    stages: dict[str, list[Instruction]] = {}
    stage: list[Instruction] = []
    for one in instructions:
        if one.word == "FROM":
            words = one.rest.split()
            stage = [*stages.get(words[0].lower() if words else "", ()), one]
            if len(words) == len(("base", "AS", "name")):
                stages[words[-1].lower()] = stage
        else:
            stage.append(one)
    return stage


def _copied_before_install(instructions: tuple[Instruction, ...], _around: Surroundings) -> Iterator[Advice]:
    copied: Instruction | None = None
    for one in instructions:
        if one.word == "FROM":
            copied = None
        elif one.copies_all:
            copied = copied or one
        elif one.word == "RUN" and copied and _INSTALLS.search(one.script):
            message = (
                f"all sources are copied before line {one.line} installs dependencies, so every change installs anew"
            )
            yield Advice(line=copied.line, rule="copy-before-install", message=f"{message}; copy the lock files first")
            copied = None


def _copied_unfiltered(instructions: tuple[Instruction, ...], around: Surroundings) -> Iterator[Advice]:
    first = next((one for one in instructions if one.copies_all), None)
    if first and not around.ignores:
        message = "the whole folder is copied and there is no .dockerignore"
        yield Advice(line=first.line, rule="no-dockerignore", message=message)


def _secrets(instructions: tuple[Instruction, ...], around: Surroundings) -> Iterator[Advice]:
    """Each once, where it is first copied."""
    for path in filter(_SECRETS.search, around.files):
        if taker := next((one for one in instructions if one.takes(path)), None):
            message = f"{path} goes into the image; add it to .dockerignore"
            yield Advice(line=taker.line, rule="ships-secret", message=message)


def _workdir(instructions: tuple[Instruction, ...], around: Surroundings) -> Iterator[Advice]:
    stage = _last_stage(instructions)
    set_ = [one for one in stage if one.word == "WORKDIR"]
    if set_ and set_[-1].rest.strip('"') == "/":
        yield Advice(line=set_[-1].line, rule="workdir", message="WORKDIR is /, where files of the system are")
    elif not set_ and around.workdir in {"", "/"} and any(one.word in {"COPY", "ADD", "RUN"} for one in stage):
        begun = [one for one in stage if one.word == "FROM"]
        yield Advice(
            line=begun[-1].line if begun else 1,
            rule="workdir",
            message="no WORKDIR is set, so that everything runs in /",
        )


def _server_in_run(instructions: tuple[Instruction, ...], _around: Surroundings) -> Iterator[Advice]:
    for one in instructions:
        if one.word == "RUN" and _SERVERS.search(one.script):
            message = "RUN starts a server while the image is built; CMD starts it when the container runs"
            yield Advice(line=one.line, rule="server-in-run", message=message)


def _shell_form(instructions: tuple[Instruction, ...], _around: Surroundings) -> Iterator[Advice]:
    for one in _last_stage(instructions):
        if one.word in {"CMD", "ENTRYPOINT"} and not one.rest.startswith(("[", "exec ")):
            message = f'{one.word} is in shell form, so the app gets no signals; write {one.word} ["app", "argument"]'
            yield Advice(line=one.line, rule="shell-form", message=message)


def _hidden_by_volume(instructions: tuple[Instruction, ...], _around: Surroundings) -> Iterator[Advice]:
    volumes: list[str] = []
    for one in instructions:
        if one.word == "FROM":
            volumes = []
        elif one.word == "VOLUME":
            volumes += [path.rstrip("/") for path in re.findall(r"/[^\s\",\]]*", one.rest)]
        elif one.word in {"COPY", "ADD"} and any(
            f"{one.target.rstrip('/')}/".startswith(f"{path}/") for path in volumes
        ):
            message = f"{one.target} is a VOLUME by then, which hides what is put there; declare it after"
            yield Advice(line=one.line, rule="hidden-by-volume", message=message)


def _exposed(instructions: tuple[Instruction, ...], around: Surroundings) -> Iterator[Advice]:
    named = [one for one in _last_stage(instructions) if one.word == "EXPOSE"]
    if any("$" in one.rest for one in named) and not around.exposed:
        return
    exposed = {*around.exposed, *(port for one in named for port in _ports(one.rest))}
    for port in around.ports:
        if port not in exposed:
            line = named[0].line if named else 0
            message = f"the smoke run finds port {port} open, and EXPOSE doesn't name it"
            yield Advice(line=line, rule="expose", message=message)


def _ports(text: str) -> Iterator[int]:
    """Those of 80, 80/tcp and 8000-8010."""
    for first, last in re.findall(r"(\d+)(?:-(\d+))?(?:/\w+)?", text):
        yield from range(int(first), int(last or first) + 1)


_LOOKS: Final[tuple[Callable[[tuple[Instruction, ...], Surroundings], Iterator[Advice]], ...]] = (
    _copied_before_install,
    _copied_unfiltered,
    _secrets,
    _workdir,
    _server_in_run,
    _shell_form,
    _hidden_by_volume,
    _exposed,
)
