"""What git knows about a directory, in few calls of its command, which start no program that a repository names."""

from __future__ import annotations

import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from publisher.model.environment import find_program
from publisher.model.facts import TAG_REF, GitState
from publisher.model.value import Value

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_OF_REPOSITORY: Final = ("GIT_DIR", "GIT_WORK_TREE", "GIT_COMMON_DIR", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY")
# git reads no more than these, so that no secret of ours or of the CI reaches it or what it starts (filters).
_KEPT: Final = frozenset(
    {
        *("PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "XDG_CONFIG_HOME", "SUDO_UID"),
        *_OF_REPOSITORY,
        *("GIT_CEILING_DIRECTORIES", "GIT_DISCOVERY_ACROSS_FILESYSTEM", "GIT_EXEC_PATH"),
    }
)
_SETTINGS: Final = (
    # A repository's own configuration must not make a mere look start programs (a file monitor, gpg, hooks).
    *("-c", "core.fsmonitor=false", "-c", "log.showSignature=false", "-c", "core.hooksPath=/dev/null"),
    *("-c", "status.submoduleSummary=false", "-c", "diff.external=", "-c", "core.sshCommand=false"),
    "--no-optional-locks",
    "--no-pager",
)
# Objects that a partial clone lacks would be fetched by programs that its configuration names.
_ALONE: Final = {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", "GIT_NO_LAZY_FETCH": "1", "GIT_ALLOW_PROTOCOL": "none"}
_PATIENCE: Final = 60.0
_BRANCH: Final = "# branch.head "
_COMMIT: Final = "# branch.oid "


class Checkout(Value, frozen=True, kw_only=True):
    """What git answered about HEAD and the work tree; `problem` says in one sentence why it told nothing.

    branch: "" where HEAD is detached.
    """

    state: GitState = GitState.READ
    problem: str = ""
    revision: str | None = None
    committed: datetime | None = None
    branch: str = ""
    tags: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    untracked: int = 0


class Upstream(Value, frozen=True, kw_only=True):
    """Where the repository comes from: `remote` is origin's URL, else that of the only remote, as configured."""

    default_branch: str = ""
    remote: str = ""


class _GitError(Exception):
    """git could not be run, or told nothing."""

    def __init__(self, state: GitState, problem: str) -> None:
        super().__init__(problem)
        self.state = state
        self.problem = problem


def read_checkout(directory: Path, environ: Mapping[str, str]) -> Checkout:
    """Ask git about the work tree around `directory`; never raises: what went wrong is in the answer."""
    try:
        return _read(directory, environ)
    except _GitError as error:
        return Checkout(state=error.state, problem=error.problem)


def read_upstream(directory: Path, environ: Mapping[str, str]) -> Upstream:
    """Ask git where the repository comes from; what it doesn't know is empty."""
    try:
        head = _git(directory, environ, "for-each-ref", "--format=%(symref)", "refs/remotes/origin/HEAD")
        return Upstream(
            default_branch=head.strip().partition("refs/remotes/origin/")[2], remote=_remote(directory, environ)
        )
    except _GitError:
        return Upstream()


def read_root(directory: Path, environ: Mapping[str, str]) -> Path | None:
    """The root of the work tree around `directory`; None where git sees no repository, or doesn't trust its owner."""
    try:
        root = _git(directory, environ, "rev-parse", "--show-toplevel").removesuffix("\n")
    except _GitError:
        return None
    return Path(root) if root else None


def _read(directory: Path, environ: Mapping[str, str]) -> Checkout:
    lines = _status(directory, environ)
    revision, branch = _header(lines, "branch.oid"), _header(lines, "branch.head")
    is_empty = revision == "(initial)"
    committed, tags = (None, ()) if is_empty else _commit(directory, environ)
    return Checkout(
        state=GitState.EMPTY if is_empty else GitState.READ,
        revision=None if is_empty else revision,
        committed=committed,
        branch="" if branch == "(detached)" else branch,
        tags=tags,
        changed=(*filter(None, map(_changed_path, lines)), *_changed_submodules(directory, environ)),
        untracked=sum(line.startswith("? ") for line in lines),
    )


def _status(directory: Path, environ: Mapping[str, str]) -> list[str]:
    options = (
        "--porcelain=v2",
        "--branch",
        "-z",
        "--no-renames",
        "--untracked-files=normal",
        # git would look into them with their own configuration, which names programs too.
        "--ignore-submodules=dirty",
    )
    return _git(directory, environ, *_without_filters(directory, environ), "status", *options).split("\0")


_FILTER: Final = re.compile(r"filter\.(?P<name>.*)\.(?P<key>clean|smudge|process|required)", re.DOTALL)
_OWN_SCOPES: Final = ("local", "worktree")


def _without_filters(directory: Path, environ: Mapping[str, str]) -> Iterator[str]:
    """Options that put the user's own filters, or none, in place of those that the repository's configuration names."""
    fields = _git(
        directory, environ, "config", "-z", "--show-scope", "--get-regexp", r"^filter\..*", accepted=(0, 1)
    ).split("\0")
    entries = [(scope, *entry.partition("\n")[::2]) for scope, entry in zip(fields[::2], fields[1::2], strict=False)]
    users = {key: value for scope, key, value in entries if scope not in _OWN_SCOPES}
    for key in dict.fromkeys(key for scope, key, _value in entries if scope in _OWN_SCOPES):
        if match := _FILTER.fullmatch(key):
            if "=" in match["name"]:
                raise _GitError(GitState.BROKEN, f"git was not asked: the repository names a filter '{match['name']}'")
            yield from ("-c", f"{key}={users.get(key, 'false' if match['key'] == 'required' else '')}")


def _changed_submodules(directory: Path, environ: Mapping[str, str]) -> Iterator[str]:
    """Submodules whose tracked files differ, each looked at as a repository of its own; those within them too."""
    has_any = any((folder / ".gitmodules").is_file() for folder in (directory, *directory.absolute().parents))
    root = read_root(directory, environ) if has_any else None
    if root is None or not (root / ".gitmodules").is_file():
        return
    pattern = r"^submodule\..*\.path$"
    paths = _git(root, environ, "config", "-z", "-f", ".gitmodules", "--get-regexp", pattern, accepted=(0, 1))
    for path in (entry.partition("\n")[2] for entry in paths.split("\0")):
        folder = root / path
        if path and (folder / ".git").exists() and folder.resolve().is_relative_to(root.resolve()):
            inside = read_checkout(folder, _elsewhere(environ))
            if inside.changed or inside.state is GitState.BROKEN:
                yield path


def _elsewhere(environ: Mapping[str, str]) -> dict[str, str]:
    """Without the variables that name the repository around it."""
    return {name: value for name, value in environ.items() if name not in _OF_REPOSITORY}


def _header(lines: list[str], name: str) -> str:
    start = f"# {name} "
    return next((line.removeprefix(start) for line in lines if line.startswith(start)), "")


def _changed_path(line: str) -> str:
    """The path of an entry about a tracked file, ordinary (1) or unmerged (u), after its 8 or 10 fields."""
    fields = {"1": 8, "u": 10}.get(line[:1], 0)
    return line.split(" ", fields)[fields] if fields else ""


def _commit(directory: Path, environ: Mapping[str, str]) -> tuple[datetime, tuple[str, ...]]:
    """The time of HEAD's commit, and the tags that point at it."""
    options = ("-1", "--format=%ct%x00%D", "--decorate=full", f"--decorate-refs={TAG_REF}")
    seconds, _, names = _git(directory, environ, "log", *options).rstrip("\n").partition("\0")
    tags = tuple(name.removeprefix(f"tag: {TAG_REF}") for name in names.split(", ") if name)
    return datetime.fromtimestamp(int(seconds), UTC), tags


def _remote(directory: Path, environ: Mapping[str, str]) -> str:
    output = _git(directory, environ, "config", "-z", "--get-regexp", r"^remote\..*\.url$", accepted=(0, 1))
    urls = dict(entry.split("\n", 1) for entry in output.split("\0") if "\n" in entry)
    return urls.get("remote.origin.url") or (next(iter(urls.values())) if len(urls) == 1 else "")


def _git(directory: Path, environ: Mapping[str, str], *arguments: str, accepted: tuple[int, ...] = (0,)) -> str:
    program = find_program("git", environ)
    if program is None:
        raise _GitError(GitState.NOT_INSTALLED, "git is not installed, or not on PATH")
    variables = {name: value for name, value in environ.items() if name in _KEPT or name.startswith("GIT_CONFIG")}
    try:
        result = subprocess.run(  # noqa: S603 - an argument list of our own, no shell
            [program, *_SETTINGS, *arguments],
            cwd=directory,
            env={**variables, **_ALONE},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise _GitError(GitState.BROKEN, f"git {arguments[0]} did not end within {_PATIENCE:.0f} seconds") from error
    except OSError as error:
        raise _GitError(GitState.BROKEN, f"git could not be started in {directory}: {error.strerror}") from error
    if result.returncode not in accepted:
        raise _explain(directory, result.stderr.decode(errors="replace").strip())
    return result.stdout.decode(errors="replace")


def _explain(directory: Path, message: str) -> _GitError:
    if "not a git repository" in message:
        return _GitError(GitState.ABSENT, f"{directory} is not in a git repository")
    if "dubious ownership" in message:
        advised = re.search(r"^\s*(git config .*safe\.directory .*)$", message, re.MULTILINE)
        command = advised[1] if advised else f"git config --global --add safe.directory {directory}"
        return _GitError(
            GitState.UNSAFE, f"git refuses {directory}, which belongs to another user (`{command}` allows it)"
        )
    return _GitError(GitState.BROKEN, f"git could not read {directory}: {message or 'it gave no reason'}")
