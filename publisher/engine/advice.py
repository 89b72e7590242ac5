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


def advise(text: str, surroundings: Surroundings) -> tuple[Advice, ...]:
    """All advice, by line."""
    instructions = read_dockerfile(text)
    advice = [entry for rule in _RULES for entry in rule(instructions, surroundings)]
    return tuple(sorted(advice, key=lambda entry: (entry.line, entry.rule)))


def _last_stage(instructions: Iterable[Instruction]) -> list[Instruction]:
    """What makes the image: the last stage, and before it the stages that it stands on."""
    stages: dict[str, list[Instruction]] = {}
    stage: list[Instruction] = []
    for instruction in instructions:
        if instruction.word == "FROM":
            words = instruction.rest.split()
            stage = [*stages.get(words[0].lower() if words else "", ()), instruction]
            if len(words) == len(("base", "AS", "name")):
                stages[words[-1].lower()] = stage
        else:
            stage.append(instruction)
    return stage


def _copy_before_install(instructions: tuple[Instruction, ...], _surroundings: Surroundings) -> Iterator[Advice]:
    copy: Instruction | None = None
    for instruction in instructions:
        if instruction.word == "FROM":
            copy = None
        elif instruction.copies_all:
            copy = copy or instruction
        elif instruction.word == "RUN" and copy and _INSTALLS.search(instruction.script):
            message = (
                f"all sources are copied before line {instruction.line} installs dependencies, "
                "so every change installs anew; copy the lock files first"
            )
            yield Advice(line=copy.line, rule="copy-before-install", message=message)
            copy = None


def _copy_without_ignore(instructions: tuple[Instruction, ...], surroundings: Surroundings) -> Iterator[Advice]:
    first = next((instruction for instruction in instructions if instruction.copies_all), None)
    if first and not surroundings.ignores:
        message = "the whole folder is copied and there is no .dockerignore"
        yield Advice(line=first.line, rule="no-dockerignore", message=message)


def _secrets(instructions: tuple[Instruction, ...], surroundings: Surroundings) -> Iterator[Advice]:
    """Each once, where it is first copied."""
    for path in filter(_SECRETS.search, surroundings.files):
        if instruction := next((instruction for instruction in instructions if instruction.takes(path)), None):
            message = f"{path} goes into the image; add it to .dockerignore"
            yield Advice(line=instruction.line, rule="ships-secret", message=message)


def _workdir(instructions: tuple[Instruction, ...], surroundings: Surroundings) -> Iterator[Advice]:
    stage = _last_stage(instructions)
    workdirs = [instruction for instruction in stage if instruction.word == "WORKDIR"]
    if workdirs and workdirs[-1].rest.strip('"') == "/":
        yield Advice(line=workdirs[-1].line, rule="workdir", message="WORKDIR is /, where files of the system are")
    elif (
        not workdirs
        and surroundings.workdir in {"", "/"}
        and any(instruction.word in {"COPY", "ADD", "RUN"} for instruction in stage)
    ):
        bases = [instruction for instruction in stage if instruction.word == "FROM"]
        yield Advice(
            line=bases[-1].line if bases else 1,
            rule="workdir",
            message="no WORKDIR is set, so that everything runs in /",
        )


def _server_in_run(instructions: tuple[Instruction, ...], _surroundings: Surroundings) -> Iterator[Advice]:
    for instruction in instructions:
        if instruction.word == "RUN" and _SERVERS.search(instruction.script):
            message = "RUN starts a server while the image is built; CMD starts it when the container runs"
            yield Advice(line=instruction.line, rule="server-in-run", message=message)


def _shell_form(instructions: tuple[Instruction, ...], _surroundings: Surroundings) -> Iterator[Advice]:
    for instruction in _last_stage(instructions):
        if instruction.word in {"CMD", "ENTRYPOINT"} and not instruction.rest.startswith(("[", "exec ")):
            word = instruction.word
            message = f'{word} is in shell form, so the app gets no signals; write {word} ["app", "argument"]'
            yield Advice(line=instruction.line, rule="shell-form", message=message)


def _hidden_by_volume(instructions: tuple[Instruction, ...], _surroundings: Surroundings) -> Iterator[Advice]:
    volumes: list[str] = []
    for instruction in instructions:
        if instruction.word == "FROM":
            volumes = []
        elif instruction.word == "VOLUME":
            volumes += [path.rstrip("/") for path in re.findall(r"/[^\s\",\]]*", instruction.rest)]
        elif instruction.word in {"COPY", "ADD"} and any(
            f"{instruction.target.rstrip('/')}/".startswith(f"{path}/") for path in volumes
        ):
            message = f"{instruction.target} is a VOLUME by then, which hides what is put there; declare it after"
            yield Advice(line=instruction.line, rule="hidden-by-volume", message=message)


def _missing_expose(instructions: tuple[Instruction, ...], surroundings: Surroundings) -> Iterator[Advice]:
    exposes = [instruction for instruction in _last_stage(instructions) if instruction.word == "EXPOSE"]
    if any("$" in instruction.rest for instruction in exposes) and not surroundings.exposed:
        return
    exposed = {*surroundings.exposed, *(port for instruction in exposes for port in _ports(instruction.rest))}
    for port in surroundings.ports:
        if port not in exposed:
            line = exposes[0].line if exposes else 0
            message = f"the smoke run finds port {port} open, and EXPOSE doesn't name it"
            yield Advice(line=line, rule="expose", message=message)


def _ports(text: str) -> Iterator[int]:
    """Those of 80, 80/tcp and 8000-8010."""
    for first, last in re.findall(r"(\d+)(?:-(\d+))?(?:/\w+)?", text):
        yield from range(int(first), int(last or first) + 1)


_RULES: Final[tuple[Callable[[tuple[Instruction, ...], Surroundings], Iterator[Advice]], ...]] = (
    _copy_before_install,
    _copy_without_ignore,
    _secrets,
    _workdir,
    _server_in_run,
    _shell_form,
    _hidden_by_volume,
    _missing_expose,
)
