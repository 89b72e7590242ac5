"""`publish init`: the files that a repository needs for its first release, from what is in it."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

import msgspec

from publisher.facts.configuration import OWN_NAME, SHARED_NAME, has_shared_table
from publisher.facts.git import read_upstream
from publisher.facts.project import read_project
from publisher.model.errors import BadReference, UsageError
from publisher.model.printable import printable
from publisher.model.reference import Repository
from publisher.model.value import Document, Value
from publisher.workflows.ci_files import GITHUB_FILE, GITLAB_FILE, github_workflow, gitlab_pipeline

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_DOCKERFILES: Final = ("Dockerfile", "Containerfile")
_MOST_DESCRIPTION: Final = 100


class NewFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file: its path from here, and what is in it."""

    path: str
    content: str


class NewFiles(Document, frozen=True, kw_only=True, tag_field="schema", tag="publish.init/1"):
    """What `publish init` wrote, or would have written."""

    files: tuple[NewFile, ...]
    written: bool


class InitOptions(Value, frozen=True, kw_only=True):
    """What the command line says. images: instead of what the git remote suggests."""

    images: tuple[str, ...] = ()
    github: bool = False
    gitlab: bool = False


class ProjectSurvey(Value, frozen=True, kw_only=True):
    """What is in a folder. dockerfiles: from the folder itself, else of the folders in it."""

    name: str
    page: str
    title: str
    description: str
    dockerfiles: tuple[PurePosixPath, ...]
    has_readme: bool
    is_root: bool


def survey(directory: Path, environ: Mapping[str, str] = os.environ) -> ProjectSurvey:
    """Look at git's remote, the Dockerfiles and the project's own metadata."""
    project = read_project(directory, read_upstream(directory, environ).remote)
    within = next(
        (index for index, folder in enumerate((directory, *directory.parents)) if (folder / ".git").exists()), 0
    )
    return ProjectSurvey(
        name=directory.name,
        page=project.source,
        title=project.title,
        description=project.description,
        dockerfiles=_dockerfiles(directory),
        has_readme=(directory / "README.md").is_file(),
        is_root=within == 0,
    )


def suggested_image(here: ProjectSurvey) -> str:
    """The repository that the git remote's page suggests; "" where there is none."""
    host, _, path = here.page.partition("://")[2].partition("/")
    name = "/".join(path.lower().split("/")[-2:])
    image = f"registry.gitlab.com/{path.lower()}" if host == "gitlab.com" else name
    try:
        return Repository.parse(image).familiar if "/" in name else ""
    except BadReference:
        return ""


def new_files(here: ProjectSurvey, options: InitOptions) -> tuple[NewFile, ...]:
    """The files, as they are to be; raises UsageError where nothing tells what the image is called."""
    images = options.images or tuple(filter(None, [suggested_image(here)]))
    if not images:
        raise UsageError(
            "git's remote doesn't tell what the image is called",
            hint="name it: publish init --image USER/NAME",
        )
    repositories = [Repository.parse(image) for image in images]
    files = [NewFile(path=OWN_NAME, content=_configuration(here, repositories))]
    if (options.github or options.gitlab) and not here.is_root:
        raise UsageError(
            "workflows are read from the root of the repository only",
            hint="run 'publish init' there, or leave them out",
        )
    if options.github:
        files.append(
            NewFile(path=GITHUB_FILE, content=github_workflow(repositories[0], several=len(here.dockerfiles) > 1))
        )
    if options.gitlab:
        files.append(NewFile(path=GITLAB_FILE, content=gitlab_pipeline(repositories[0])))
    return tuple(files)


def write_new_files(directory: Path, files: Sequence[NewFile], *, force: bool) -> None:
    """Write all of them, or none where one is there already and `force` doesn't say otherwise."""
    if not force:
        _refuse_present(directory, files)
    for file in files:
        path = directory / file.path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("w" if force else "x", encoding="utf-8") as stream:
                stream.write(file.content)
        except OSError as error:
            raise UsageError(f"{file.path} can't be written: {error.strerror}") from error


def _refuse_present(directory: Path, files: Sequence[NewFile]) -> None:
    present = [file.path for file in files if os.path.lexists(directory / file.path)]
    if present:
        raise UsageError(
            f"{' and '.join(present)} {'is' if len(present) == 1 else 'are'} there already, and nothing was written",
            hint="look at what would be written with --dry-run; --force overwrites",
        )
    if has_shared_table(directory):
        raise UsageError(
            f"{SHARED_NAME} has a table [tool.publish] already, and two configurations would be an error",
            hint="keep that one, or take it out first",
        )


def _dockerfiles(directory: Path) -> tuple[PurePosixPath, ...]:
    own = [PurePosixPath(name) for name in _DOCKERFILES if (directory / name).is_file()]
    if own:
        return tuple(own[:1])
    return tuple(
        PurePosixPath(path.relative_to(directory))
        for path in sorted(directory.glob("*/Dockerfile"))
        if path.is_file() and not path.parent.name.startswith(".")
    )


def _configuration(here: ProjectSurvey, repositories: Sequence[Repository]) -> str:
    several = len(here.dockerfiles) > 1
    parts = [
        "# What `publish release` builds and publishes; every key: docs/configuration.md",
        _several_images(here, repositories) if several else _one_image(here, repositories),
        _hub(here, repositories),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def _one_image(here: ProjectSurvey, repositories: Sequence[Repository]) -> str:
    images = f"images = [{', '.join(_quoted(repository.familiar) for repository in repositories)}]"
    if not here.dockerfiles:
        name = repositories[0].name.rpartition("/")[2]
        return f"{images}\nsource = {_quoted(f'docker-daemon:{name}')} # an image that is in the engine already"
    return f"{images}\n\n[build]\n{_build(here.dockerfiles[0])}"


def _several_images(here: ProjectSurvey, repositories: Sequence[Repository]) -> str:
    """One image for each folder with a Dockerfile, released by git tags as `api/v1.2.3`."""
    tables = []
    for file in here.dockerfiles:
        name = re.sub(r"[^a-z0-9-]+", "-", file.parent.name.lower()).strip("-") or "image"
        names = ", ".join(_quoted(_sibling(repository, name)) for repository in repositories)
        tables.append(
            f"[images.{name}]\nrepositories = [{names}]\nversion-prefix = {_quoted(f'{name}/')}\n\n"
            f"[images.{name}.build]\n{_build(file)}"
        )
    return "\n\n".join(tables)


def _sibling(repository: Repository, name: str) -> str:
    owner = repository.familiar.rpartition("/")[0]
    return f"{owner}/{name}" if owner else name


def _build(file: PurePosixPath) -> str:
    lines = [f"context = {_quoted(str(file.parent))}"]
    lines += [f"dockerfile = {_quoted(str(file))}"] if str(file) != "Dockerfile" else []
    return "\n".join(lines)


def _hub(here: ProjectSurvey, repositories: Sequence[Repository]) -> str:
    """Docker Hub's page of the image: shown and asked for by `publish hub describe` only."""
    if not any(repository.on_hub for repository in repositories) or len(here.dockerfiles) > 1:
        return ""
    lines = [f"readme = {_quoted('README.md')}"] if here.has_readme else []
    description = printable(" ".join(here.description.split()))
    if description and len(description.encode()) <= _MOST_DESCRIPTION:
        lines.insert(0, f"description = {_quoted(description)}")
    return "\n".join(["[hub]", *lines]) if lines else ""


def _quoted(text: str) -> str:
    """A TOML string: JSON's escapes are among TOML's."""
    return json.dumps(text, ensure_ascii=False)
