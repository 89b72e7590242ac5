"""Facts from real git repositories."""

from __future__ import annotations

import os
import subprocess
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from publisher.facts.gather import gather, read_epoch
from publisher.facts.git import Checkout, Upstream, read_checkout, read_upstream
from publisher.model.errors import ConfigError
from publisher.model.facts import GitState, Project

if TYPE_CHECKING:
    from pathlib import Path

MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class Repository:
    """A git repository of a test, with an environment of its own."""

    def __init__(self, folder: Path, home: Path) -> None:
        self.folder = folder
        self.environ = {"PATH": os.environ["PATH"], "HOME": str(home)}
        folder.mkdir()
        self.git("init", "--quiet", "--initial-branch=main")

    def git(self, *arguments: str) -> str:
        """Run git."""
        who = {f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER") for what, value in self._who()}
        done = subprocess.run(
            ["git", *arguments], cwd=self.folder, env=self.environ | who, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    @staticmethod
    def _who() -> tuple[tuple[str, str], ...]:
        return ("NAME", "Test"), ("EMAIL", "test@example.org"), ("DATE", MOMENT.isoformat())

    def commit(self, name: str = "file", text: str = "text") -> str:
        """Commit a file; returns the commit."""
        (self.folder / name).write_text(text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message=change")
        return self.git("rev-parse", "HEAD")

    def read(self) -> Checkout:
        """What is read of it."""
        return read_checkout(self.folder, self.environ)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """An empty repository."""
    return Repository(tmp_path / "repository", tmp_path)


def test_clean_checkout(repository: Repository) -> None:
    """A commit on a branch is read with its time."""
    commit = repository.commit()
    assert repository.read() == Checkout(revision=commit, committed=MOMENT, branch="main")


def test_tags_at_head(repository: Repository) -> None:
    """Tags at HEAD are read, annotated ones too; others aren't."""
    repository.commit()
    repository.git("tag", "v1.0.0")
    repository.commit(text="more")
    repository.git("tag", "api/v1.1.0")
    repository.git("tag", "--annotate", "--message=x", "v1,1")
    assert sorted(repository.read().tags) == ["api/v1.1.0", "v1,1"]


def test_changed_and_untracked(repository: Repository) -> None:
    """Tracked files that differ are named, untracked ones counted, ignored ones passed over."""
    repository.commit("a b")
    repository.commit("c")
    repository.commit(".gitignore", "*.log")
    (repository.folder / "a b").write_text("changed")
    repository.git("mv", "c", "renamed c")
    (repository.folder / "new").write_text("x")
    (repository.folder / "x.log").write_text("x")
    found = repository.read()
    assert (sorted(found.changed), found.untracked) == (["a b", "c", "renamed c"], 1)


def test_conflict_is_a_change(repository: Repository) -> None:
    """A file in conflict counts as changed."""
    repository.commit()
    repository.git("switch", "--quiet", "--create", "other")
    repository.commit(text="other")
    repository.git("switch", "--quiet", "main")
    repository.commit(text="mine")
    with pytest.raises(subprocess.CalledProcessError):
        repository.git("merge", "other")
    assert repository.read().changed == ("file",)


def test_detached(repository: Repository) -> None:
    """A detached HEAD is on no branch."""
    commit = repository.commit()
    repository.git("checkout", "--quiet", "--detach")
    assert (repository.read().branch, repository.read().revision) == ("", commit)


def test_no_commit_yet(repository: Repository) -> None:
    """An empty repository is one, with no commit."""
    (repository.folder / "new").write_text("x")
    found = repository.read()
    assert (found.state, found.revision, found.committed, found.untracked) == (GitState.EMPTY, None, None, 1)


def test_subfolder_and_worktree(repository: Repository, tmp_path: Path) -> None:
    """A folder within, and another work tree, are as good as the root."""
    commit = repository.commit()
    inner = repository.folder / "inner"
    inner.mkdir()
    repository.git("worktree", "add", "--quiet", str(tmp_path / "tree"), "-b", "side")
    assert read_checkout(inner, repository.environ).revision == commit
    assert read_checkout(tmp_path / "tree", repository.environ).branch == "side"


def test_no_repository(tmp_path: Path) -> None:
    """A folder outside git is absent from it, and not broken."""
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "GIT_CEILING_DIRECTORIES": str(tmp_path.parent)}
    found = read_checkout(tmp_path, environ)
    assert (found.state, found.problem) == (GitState.ABSENT, f"{tmp_path} is not in a git repository")


def test_git_not_installed(repository: Repository) -> None:
    """Without git the answer says so."""
    found = read_checkout(repository.folder, {"PATH": "/nonexistent"})
    assert (found.state, found.problem) == (GitState.NOT_INSTALLED, "git is not installed, or not on PATH")


def test_unsafe_ownership(repository: Repository) -> None:
    """A repository that belongs to another user is told apart, with the command that allows it."""
    repository.commit()
    if os.geteuid() != 0:
        pytest.xfail("only root can give a folder to another user")
    for path in (repository.folder, repository.folder / ".git"):
        os.chown(path, 12345, 12345)
    found = repository.read()
    assert found.state is GitState.UNSAFE
    assert f"safe.directory {repository.folder}" in found.problem


def test_broken_repository(repository: Repository) -> None:
    """A damaged repository is broken, and git's own words are kept."""
    repository.commit()
    (repository.folder / ".git" / "index").write_bytes(b"garbage, and long enough to be read as an index file")
    found = repository.read()
    assert found.state is GitState.BROKEN
    assert "git could not read" in found.problem


def test_missing_folder(tmp_path: Path) -> None:
    """A folder that isn't there is no reason to raise."""
    assert read_checkout(tmp_path / "none", {"PATH": os.environ["PATH"]}).state is GitState.BROKEN


def test_no_secret_reaches_git(repository: Repository) -> None:
    """Programs that git starts see none of the secrets around us."""
    repository.commit()
    seen = repository.folder.parent / "seen"
    # The user's own filter runs: without it files would differ that don't.
    repository.git("config", "--global", "filter.spy.clean", f"env > {seen}; cat")
    (repository.folder / ".gitattributes").write_text("file filter=spy\n")
    (repository.folder / "file").write_text("TEXT")
    secrets = ("PUBLISH_PASSWORD", "DOCKERHUB_TOKEN", "DOCKER_AUTH_CONFIG", "GITHUB_TOKEN", "AWS_SECRET_ACCESS_KEY")
    assert read_checkout(repository.folder, repository.environ | dict.fromkeys(secrets, "canary")).changed
    assert "PATH=" in seen.read_text()
    assert "canary" not in seen.read_text()


PROGRAMS = {
    "clean": ("filter.evil.clean", "TOUCH; cat"),
    "smudge": ("filter.evil.smudge", "TOUCH; cat"),
    "process": ("filter.evil.process", "TOUCH"),
    "monitor": ("core.fsmonitor", "TOUCH"),
    "hooks": ("core.hooksPath", "HOOKS"),
    "textconv": ("diff.evil.textconv", "TOUCH; cat"),
    "diff": ("diff.evil.command", "TOUCH"),
    "external-diff": ("diff.external", "TOUCH"),
    "pager": ("core.pager", "TOUCH"),
    "log-pager": ("pager.log", "TOUCH"),
    "credentials": ("credential.helper", "!TOUCH"),
    "ssh": ("core.sshCommand", "TOUCH"),
    "editor": ("core.editor", "TOUCH"),
    "gpg": ("gpg.program", "TOUCH"),
}


def _name_programs(repository: Repository, folder: Path, program: Path) -> None:
    """Have a repository name a program wherever it can, and give git a reason to run each."""
    hooks = program.parent / "hooks"
    hooks.mkdir(exist_ok=True)
    for hook in ("post-index-change", "fsmonitor-watchman", "reference-transaction", "post-checkout"):
        (hooks / hook).write_bytes(program.read_bytes())
        (hooks / hook).chmod(0o755)
    within = Repository.__new__(Repository)
    within.folder, within.environ = folder, repository.environ
    for key, value in PROGRAMS.values():
        within.git("config", key, value.replace("TOUCH", f"{program} {key}").replace("HOOKS", str(hooks)))
    within.git("config", "filter.evil.required", "true")
    within.git("config", "log.showSignature", "true")
    (folder / ".gitattributes").write_text("* filter=evil diff=evil\n")
    (folder / "file").write_text("TEXT")


def _runs(repository: Repository, program: Path) -> bool:
    """Whether git by itself runs one of them."""
    subprocess.run(["git", "status"], cwd=repository.folder, env=repository.environ, check=False, capture_output=True)
    return (program.parent / "ran").exists()


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A program that leaves a mark; its mark is the file `ran`."""
    program = tmp_path / "program"
    program.write_text(f'#!/bin/sh\necho "$0 $*" >> {tmp_path}/ran\n')
    program.chmod(0o755)
    return program


def test_a_look_runs_no_program_that_the_repository_names(repository: Repository, program: Path) -> None:
    """Filters, monitor, hooks, textconv, pagers, helpers, gpg: of the repository itself."""
    commit = repository.commit()
    repository.git("remote", "add", "origin", "https://example.org/me/app.git")
    _name_programs(repository, repository.folder, program)
    found = repository.read()
    assert (found.revision, found.changed, found.untracked) == (commit, ("file",), 1)
    assert read_upstream(repository.folder, repository.environ).remote == "https://example.org/me/app.git"
    assert gather(repository.folder, repository.environ).changed == ("file",)
    assert not (program.parent / "ran").exists(), (program.parent / "ran").read_text()
    assert _runs(repository, program), "the check above can fail"


def test_a_look_runs_no_program_of_a_submodule(repository: Repository, program: Path, tmp_path: Path) -> None:
    """git would look into it with its own configuration; that its files differ is known all the same."""
    library = Repository(tmp_path / "library", tmp_path)
    library.commit()
    add = ("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(library.folder), "lib")
    repository.git(*add)
    repository.commit()
    assert repository.read().changed == ()
    _name_programs(repository, repository.folder / "lib", program)
    (program.parent / "ran").unlink(missing_ok=True)
    assert repository.read().changed == ("lib",)
    assert not (program.parent / "ran").exists(), (program.parent / "ran").read_text()
    assert _runs(repository, program)


def test_a_look_fetches_nothing(repository: Repository, program: Path, tmp_path: Path) -> None:
    """A partial clone whose configuration names how its lost objects are fetched."""
    commit = repository.commit()
    for key, value in {
        "core.repositoryFormatVersion": "1", "extensions.partialClone": "origin", "remote.origin.promisor": "true",
        "remote.origin.url": str(tmp_path / "nowhere"), "remote.origin.uploadpack": f"{program} fetched",
        "protocol.allow": "always",
    }.items():  # fmt: skip
        repository.git("config", key, value)
    tree = repository.git("rev-parse", f"{commit}^{{tree}}")
    (repository.folder / ".git" / "objects" / tree[:2] / tree[2:]).unlink()
    (repository.folder / "file").write_text("other")
    repository.read()
    assert not (program.parent / "ran").exists(), (program.parent / "ran").read_text()
    assert _runs(repository, program)


def test_no_file_monitor_is_started(repository: Repository) -> None:
    """A repository's own file monitor is not run."""
    repository.commit()
    seen = repository.folder.parent / "seen"
    monitor = repository.folder.parent / "monitor"
    monitor.write_text(f"#!/bin/sh\ntouch {seen}\n")
    monitor.chmod(0o755)
    repository.git("config", "core.fsmonitor", str(monitor))
    assert repository.read().state is GitState.READ
    assert not seen.exists()


def test_reading_writes_nothing(repository: Repository) -> None:
    """A look leaves the index as it is."""
    repository.commit()
    index = repository.folder / ".git" / "index"
    os.utime(repository.folder / "file", (0, 0))
    before = index.read_bytes()
    assert repository.read().changed == ()
    assert index.read_bytes() == before


def test_upstream(repository: Repository, tmp_path: Path) -> None:
    """origin's URL and its default branch are read."""
    repository.commit()
    clone = tmp_path / "clone"
    repository.git("clone", "--quiet", str(repository.folder), str(clone))
    assert read_upstream(clone, repository.environ) == Upstream(default_branch="main", remote=str(repository.folder))


def test_only_remote(repository: Repository) -> None:
    """Where origin is missing the only remote counts; of several none does."""
    repository.git("remote", "add", "hub", "git@github.com:a/app.git")
    assert read_upstream(repository.folder, repository.environ).remote == "git@github.com:a/app.git"
    repository.git("remote", "add", "other", "git@github.com:b/app.git")
    assert read_upstream(repository.folder, repository.environ) == Upstream()


def test_facts_of_a_laptop(repository: Repository) -> None:
    """Outside CI all facts come from git and the project."""
    commit = repository.commit("package.json", '{"name": "app", "license": "MIT"}')
    repository.git("tag", "v1.2.3")
    repository.git("remote", "add", "origin", "https://me:secret@github.com/a/app.git")
    found = gather(repository.folder, repository.environ)
    assert (found.ref, found.revision, found.head_tags) == ("refs/heads/main", commit, ("v1.2.3",))
    assert (found.created, found.in_git, found.in_ci, found.is_pull_request) == (MOMENT, True, False, False)
    page = "https://github.com/a/app"
    assert found.project == Project(title="app", url=page, source=page, licenses="MIT")


def test_facts_of_a_pull_request(repository: Repository) -> None:
    """In CI the CI's word about ref and commit counts, git's about time and tree."""
    repository.commit()
    (repository.folder / "file").write_text("changed")
    run = {
        "GITHUB_ACTIONS": "true",
        "GITHUB_EVENT_NAME": "pull_request",
        "GITHUB_REF": "refs/pull/7/merge",
        "GITHUB_SHA": "f" * 40,
    }
    found = gather(repository.folder, repository.environ | run)
    assert (found.ref, found.revision, found.committed) == ("refs/pull/7/merge", "f" * 40, MOMENT)
    assert (found.is_pull_request, found.in_ci, found.changed) == (True, True, ("file",))


def test_facts_without_a_commit(repository: Repository) -> None:
    """A branch without a commit is no ref."""
    found = gather(repository.folder, repository.environ)
    assert (found.ref, found.revision, found.in_git) == ("", None, True)


def test_facts_outside_git(tmp_path: Path) -> None:
    """Outside git the reason is kept for whoever needs a version."""
    environ = {"PATH": os.environ["PATH"], "GIT_CEILING_DIRECTORIES": str(tmp_path.parent)}
    found = gather(tmp_path, environ)
    assert (found.in_git, found.git) == (False, GitState.ABSENT)
    assert "is not in a git repository" in found.git_problem


def test_epoch(repository: Repository) -> None:
    """SOURCE_DATE_EPOCH is the clock and the time of creation."""
    repository.commit()
    found = gather(repository.folder, repository.environ | {"SOURCE_DATE_EPOCH": "1577836800"})
    assert found.now == found.created == datetime(2020, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("text", ["soon", "1.5", "9" * 30])
def test_bad_epoch(text: str) -> None:
    """A SOURCE_DATE_EPOCH that is no number of seconds is an error."""
    with pytest.raises(ConfigError, match="SOURCE_DATE_EPOCH is"):
        read_epoch({"SOURCE_DATE_EPOCH": text})
