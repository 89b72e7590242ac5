"""A workflow for GitHub Actions and a pipeline for GitLab CI, for an image of a repository."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from publisher import __version__
from publisher.model.installation import DISTRIBUTION, installed_commit

if TYPE_CHECKING:
    from publisher.model.reference import Repository

GITHUB_FILE: Final = ".github/workflows/publish.yml"
GITLAB_FILE: Final = ".gitlab-ci.yml"
_NO_COMMIT: Final = "0" * 40
_CHECKOUT: Final = "actions/checkout@08c6903cd8c0fde910a37f88322edcfb5dd907a8 # v5.0.0"
_GITHUB: Final = """\
name: Publish
on:
  push:
    tags: [TAGS]
  pull_request:
permissions: {}
concurrency:
  group: publish-${{ github.ref }}
  cancel-in-progress: false
jobs:
  rehearse:
    name: Rehearse the release
    if: github.event_name == 'pull_request'
    runs-on: ubuntu-24.04
    timeout-minutes: 30
    permissions:
      contents: read # to check out
    steps:
      - uses: CHECKOUT
        with:
          persist-credentials: false
      - uses: ACTION
        with:
          sandbox: true
  release:
    name: Release the image
    if: github.event_name == 'push'
    runs-on: ubuntu-24.04
    timeout-minutes: 30
JOB    steps:
      - uses: CHECKOUT
        with:
          persist-credentials: false
      - uses: ACTION
        with:
          registry: REGISTRY
          username: ${{ USERNAME }}
          password: ${{ PASSWORD }}
"""
_ENVIRONMENT: Final = """\
    environment: publish # holds USERNAME_NAME and PASSWORD_NAME; let only tags v* deploy to it
    permissions:
      contents: read # to check out
"""
_PACKAGES: Final = """\
    permissions:
      contents: read # to check out
      packages: write # to push to GitHub's own registry
"""
_GITLAB: Final = """\
default:
  services: ["docker:28-dind"] # the engine that builds, and pulls back what was pushed
SETUP

variables:
  DOCKER_HOST: tcp://docker:2375
  DOCKER_TLS_CERTDIR: ""

rehearse:
  rules: [{ if: $CI_PIPELINE_SOURCE == "merge_request_event" }]
  script:
    - publish sandbox exec -- publish release --build

release:
  rules: [{ if: $CI_COMMIT_TAG }]
VARIABLES  script:
    - publish release --build --receipt receipt.json
  artifacts:
    paths: [receipt.json]
"""
_IMAGE_SETUP: Final = """\
  # publish's own image, made from its Dockerfile: put its registry and digest here.
  image:
    name: ghcr.io/OWNER/publish@sha256:0000000000000000000000000000000000000000000000000000000000000000
    entrypoint: [""] # GitLab starts a shell of its own
  before_script:
    - git config --global --add safe.directory "$CI_PROJECT_DIR" # GitLab clones as another user"""
_GIT_SETUP: Final = """\
  image: python:3.13 # the one with git in it
  before_script:
    - pip install 'REQUIREMENT'"""


def github_workflow(repository: Repository, *, several: bool) -> str:
    """A tag `v1.2.3` releases, of several images `api/v1.2.3`; a pull request rehearses without any secret."""
    on_github = repository.registry == "ghcr.io"
    prefix = "DOCKERHUB" if repository.on_hub else "REGISTRY"
    username, password = f"{prefix}_USERNAME", f"{prefix}_{'TOKEN' if repository.on_hub else 'PASSWORD'}"
    job = _ENVIRONMENT.replace("USERNAME_NAME", username).replace("PASSWORD_NAME", password)
    values = {
        # In GitHub's patterns a star stops at a slash.
        "TAGS": '"*/v*"' if several else '"v*"',
        "JOB": _PACKAGES if on_github else job,
        "CHECKOUT": _CHECKOUT,
        "ACTION": _action(),
        "REGISTRY": repository.registry,
        "{{ USERNAME }}": "{{ github.actor }}" if on_github else f"{{{{ secrets.{username} }}}}",
        "{{ PASSWORD }}": "{{ github.token }}" if on_github else f"{{{{ secrets.{password} }}}}",
    }
    return _filled(_GITHUB, values)


def gitlab_pipeline(repository: Repository) -> str:
    """A tag releases, a merge request rehearses. Docker Hub's credential are two variables of the project."""
    registry, user, password = repository.registry, "$REGISTRY_USERNAME", "$REGISTRY_PASSWORD"
    if registry == "registry.gitlab.com":
        registry, user, password = "$CI_REGISTRY", "$CI_REGISTRY_USER", "$CI_REGISTRY_PASSWORD"
    lines = [f"PUBLISH_REGISTRY: {registry}", f"PUBLISH_USERNAME: {user}", f"PUBLISH_PASSWORD: {password}"]
    variables = "".join(f"    {line}\n" for line in lines)
    hub = "  # DOCKERHUB_USERNAME and DOCKERHUB_TOKEN: masked and protected variables of the project\n"
    url, commit = installed_commit()
    setup = _GIT_SETUP.replace("REQUIREMENT", f"{DISTRIBUTION} @ git+{url}@{commit}") if commit else _IMAGE_SETUP
    return _filled(_GITLAB, {"SETUP": setup, "VARIABLES": hub if repository.on_hub else f"  variables:\n{variables}"})


def is_complete(content: str) -> bool:
    """Whether nothing has to be filled in by hand: where this copy of publish comes from may be unknown."""
    return "OWNER/" not in content


def _action() -> str:
    """The Action of the commit that this copy was installed from, else a place to fill in."""
    url, commit = installed_commit()
    host, _, path = url.partition("://")[2].removesuffix(".git").partition("/")
    project = path if commit and host == "github.com" else ""
    return f"{project or 'OWNER/publish'}/.github/actions/publish@{commit if project else _NO_COMMIT} # v{__version__}"


def _filled(template: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        template = template.replace(name, value)
    return template
