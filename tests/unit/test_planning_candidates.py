"""Candidates: destinations, labels, and what must be read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from msgspec.structs import replace

from publisher.model.errors import BadReference, ConfigError
from publisher.model.facts import Facts, Project
from publisher.model.image_name import read_images
from publisher.planning.candidates import Candidates, PlanRequest, candidates, make_labels, to_read

SPACE = "org.opencontainers.image."
FACTS = Facts(
    now=datetime(2026, 1, 1, tzinfo=UTC),
    revision="0123456789abcdef0123456789abcdef01234567",
    committed=datetime(2025, 6, 1, 12, 0, 0, tzinfo=timezone(timedelta(hours=2))),
    ref="refs/heads/main",
    project=Project(title="app", url="https://example.org/app", source="https://example.org/app", licenses="MIT"),
)


def asked(version: str | None = "1.2.3") -> Candidates:
    """Candidates of one image."""
    return candidates(PlanRequest(images=("a/b",), version=version), FACTS)


def test_images_are_read_once_each() -> None:
    """Names are put in lower case and normalised; the first spelling of a repository counts."""
    images = read_images(["Yeong/App", " docker.io/yeong/app", "ghcr.io/Yeong/app"])
    assert [(image.written, str(image.repository)) for image in images] == [
        ("yeong/app", "docker.io/yeong/app"),
        ("ghcr.io/yeong/app", "ghcr.io/yeong/app"),
    ]


@pytest.mark.parametrize(
    "name", ["", "a b", "a/b:1", "-x", "a//b", "a/b,tag=1", "a/b,enable=yes", "enable=true", "a/b,c/d", 'a"b']
)
def test_bad_image(name: str) -> None:
    """An image that is no repository is refused."""
    with pytest.raises((BadReference, ConfigError)):
        read_images([name])


def test_labels() -> None:
    """The labels are what facts say, `created` the commit's time in UTC."""
    assert make_labels(FACTS, "1.2.3", {}) == {
        SPACE + "title": "app",
        SPACE + "url": "https://example.org/app",
        SPACE + "source": "https://example.org/app",
        SPACE + "version": "1.2.3",
        SPACE + "created": "2025-06-01T10:00:00Z",
        SPACE + "revision": "0123456789abcdef0123456789abcdef01234567",
        SPACE + "licenses": "MIT",
    }


def test_labels_are_overridden() -> None:
    """A label of the user's wins, and an empty one removes."""
    labels = make_labels(FACTS, "1.2.3", {SPACE + "title": "mine", SPACE + "url": "", "x": "y"})
    assert (labels[SPACE + "title"], labels["x"], SPACE + "url" in labels) == ("mine", "y", False)


def test_created_is_the_epoch() -> None:
    """SOURCE_DATE_EPOCH counts more than the commit's time."""
    epoch = replace(FACTS, epoch=datetime(2020, 1, 1, tzinfo=UTC))
    assert make_labels(epoch, None, {})[SPACE + "created"] == "2020-01-01T00:00:00Z"


def test_created_is_never_the_clock() -> None:
    """Without a commit there is no time of creation."""
    assert SPACE + "created" not in make_labels(replace(FACTS, committed=None), None, {})


def test_version_label_is_the_first_tag() -> None:
    """The version label is the first tag that a rule gave."""
    assert asked(None).labels[SPACE + "version"] == "main"


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        pytest.param([], set(), id="empty"),
        pytest.param(["1.2.3", "latest", "other"], {"1.2.3", "latest"}, id="own-names"),
        pytest.param(["v1.2.3"], {"v1.2.3"}, id="other-spelling"),
        pytest.param(["yanked-1.2.3"], {"yanked-1.2.3"}, id="marker-of-the-release"),
        pytest.param(["1.0.0", "yanked-1.0.0"], {"1.0.0", "yanked-1.0.0"}, id="marker-of-another"),
        pytest.param(["1.3.0", "1.0.0", "1"], {"1.3.0", "1.0.0", "1"}, id="owners-of-lines"),
        pytest.param(["1.3.0", "1.3.1", "1.3"], {"1.3.1", "1.3"}, id="only-the-owner"),
        pytest.param(["1.3.0-rc.1"], set(), id="prerelease"),
    ],
)
def test_to_read(tags: list[str], expected: set[str]) -> None:
    """Only tags that the plan depends on are read."""
    assert to_read(asked(), tags) == expected


def test_other_lines_can_be_left_out() -> None:
    """While tags are promoted only the release's own count, and what holds them."""
    tags = ["1.3.0", "1.3", "1", "2.0.0", "2.0", "2", "latest", "1.2.3", "yanked-1.2.3"]
    own = {"1", "latest", "1.3.0", "2.0.0", "1.2.3", "yanked-1.2.3"}
    assert to_read(asked(), tags, others=False) == own
    assert to_read(asked(), tags) == own | {"1.3", "2.0", "2"}


def test_reading_is_bounded() -> None:
    """However many lines a repository has, a plan reads the newest only, and what holds its own tags."""
    tags = [f"{major}.{minor}.0" for major in range(1, 20) for minor in range(20)]
    wanted = to_read(asked(), [*tags, *(tag.removesuffix(".0") for tag in tags), "1", "latest"])
    assert len(wanted) <= 70
    assert {"1.2", "1", "latest", "1.19.0", "19.19.0"} <= wanted
