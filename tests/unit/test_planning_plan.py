"""Plans: what happens to each tag, and why."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from publisher.model.codec import decode, encode
from publisher.model.digest import Digest
from publisher.model.facts import Facts
from publisher.model.plan import Action, Kind, Move, Plan
from publisher.model.reference import Repository, Tag
from publisher.planning.candidates import Candidates, PlanRequest, candidates
from publisher.planning.lines import Published
from publisher.planning.names import Name
from publisher.planning.plan import ReleasedContent, make_plan

COMMIT = "0123456789abcdef0123456789abcdef01234567"
HUB = Repository.parse("a/b")
OTHER = Repository.parse("ghcr.io/a/b")
OLD, NEW, AGAIN, HIGH = (Digest.of(text) for text in (b"old", b"new", b"same image, other bytes", b"high"))
RELEASED = ReleasedContent(NEW, frozenset({NEW, AGAIN}))
LOOSE = ReleasedContent(None, frozenset({AGAIN}))


def asked(version: str | None = "1.2.3", images: tuple[str, ...] = ("a/b",), **known: Any) -> Candidates:
    """Candidates for a version, or for the branch main."""
    force = known.pop("force", False)
    facts = Facts(**{"now": datetime(2026, 1, 1, tzinfo=UTC), "revision": COMMIT, "ref": "refs/heads/main", **known})
    return candidates(PlanRequest(images=images, version=version, force=force), facts)


def held(**tags: Digest) -> Published:
    """A repository; `_` stands for a dot and `__` for a dash."""
    named = {tag.removeprefix("t").replace("__", "-").replace("_", "."): digest for tag, digest in tags.items()}
    return Published(frozenset(named), named)


def rows(plan: Plan) -> dict[str, tuple[str, str | None, str | None]]:
    """Action, from and to of each tag, digests by their name."""
    known = {None: None, OLD: "old", NEW: "new", AGAIN: "again", HIGH: "high"}
    return {move.tag: (move.action.value, known[move.before], known[move.after]) for move in plan.moves}


def move_of(plan: Plan, tag: str) -> Move:
    """The move of one tag."""
    return next(move for move in plan.moves if move.tag == tag)


@pytest.mark.parametrize(
    ("state", "content", "force", "expected"),
    [
        pytest.param(held(), RELEASED, False, ("create", None, "new"), id="absent"),
        pytest.param(held(), LOOSE, False, ("create", None, None), id="absent-digest-unknown"),
        pytest.param(held(), None, False, ("create", None, None), id="absent-no-source"),
        pytest.param(held(t1_2_3=NEW), RELEASED, False, ("unchanged", "new", "new"), id="same-bytes"),
        pytest.param(held(t1_2_3=AGAIN), RELEASED, False, ("unchanged", "again", "again"), id="same-image"),
        pytest.param(held(t1_2_3=OLD), None, False, ("unchanged", "old", "old"), id="no-source"),
        pytest.param(held(t1_2_3=OLD), RELEASED, False, ("refuse", "old", "new"), id="another-image"),
        pytest.param(held(t1_2_3=OLD), LOOSE, False, ("refuse", "old", None), id="another-image-digest-unknown"),
        pytest.param(held(t1_2_3=OLD), RELEASED, True, ("move", "old", "new"), id="forced"),
        pytest.param(held(t1_2_3=AGAIN), RELEASED, True, ("unchanged", "again", "again"), id="forced-same-image"),
        pytest.param(held(tv1_2_3=AGAIN), RELEASED, False, ("create", None, "again"), id="other-spelling-same"),
        pytest.param(held(tv1_2_3=OLD), RELEASED, False, ("refuse", None, "new"), id="other-spelling-another"),
        pytest.param(held(tv1_2_3=OLD, t1_2_3=NEW), RELEASED, False, ("refuse", "new", "new"), id="spellings-differ"),
        pytest.param(held(tv1_2_3=OLD, t1_2_3=NEW), None, False, ("refuse", "new", "new"), id="spellings-no-source"),
        pytest.param(held(tv1_2_3=OLD, t1_2_3=NEW), RELEASED, True, ("unchanged", "new", "new"), id="spellings-forced"),
    ],
)
def test_exact_tag(
    state: Published, content: ReleasedContent | None, force: bool, expected: tuple[str, str | None, str | None]
) -> None:
    """An exact tag is created, adopted or refused; only force overwrites it."""
    assert rows(make_plan(asked(force=force), {HUB: state}, content))["1.2.3"] == expected


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        pytest.param(
            held(),
            {"1.2": ("create", None, "new"), "1": ("create", None, "new"), "latest": ("create", None, "new")},
            id="first-version",
        ),
        pytest.param(
            held(t1_2_2=OLD, t1_2=OLD, t1=OLD, latest=OLD),
            {"1.2": ("move", "old", "new"), "1": ("move", "old", "new"), "latest": ("move", "old", "new")},
            id="newest",
        ),
        pytest.param(
            held(t1_3_0=HIGH, t1_3=HIGH, t1=HIGH, latest=HIGH),
            {"1.2": ("create", None, "new"), "1": ("keep", "high", "high"), "latest": ("keep", "high", "high")},
            id="backport",
        ),
        pytest.param(
            held(t1_2_3=NEW, t1_2=NEW, t1=NEW, latest=NEW),
            {
                "1.2": ("unchanged", "new", "new"),
                "1": ("unchanged", "new", "new"),
                "latest": ("unchanged", "new", "new"),
            },
            id="rerun",
        ),
        pytest.param(
            held(t2_0_0__rc_1=HIGH, t1_2_2=OLD, t1_2=OLD, t1=OLD, latest=OLD),
            {"1.2": ("move", "old", "new"), "1": ("move", "old", "new"), "latest": ("move", "old", "new")},
            id="higher-prerelease",
        ),
        pytest.param(
            held(t1_3_0=HIGH, yanked__1_3_0=HIGH, t1=HIGH, latest=HIGH),
            {"1.2": ("create", None, "new"), "1": ("move", "high", "new"), "latest": ("move", "high", "new")},
            id="higher-is-yanked",
        ),
        pytest.param(
            held(tv1_3_0=HIGH, t1=HIGH, latest=HIGH),
            {"1.2": ("create", None, "new"), "1": ("keep", "high", "high"), "latest": ("keep", "high", "high")},
            id="higher-in-other-spelling",
        ),
        pytest.param(
            held(t1_2_3=NEW, yanked__1_2_3=NEW, t1_2_2=OLD, t1_2=OLD, t1=OLD, latest=OLD),
            {"1.2": ("keep", "old", "old"), "1": ("keep", "old", "old"), "latest": ("keep", "old", "old")},
            id="released-again-while-yanked",
        ),
        pytest.param(
            held(yanked__1_2_3=NEW),
            {"1.2": ("keep", None, None), "1": ("keep", None, None), "latest": ("keep", None, None)},
            id="marker-without-its-tag",
        ),
    ],
)
def test_floating_tags(state: Published, expected: dict[str, tuple[str, str | None, str | None]]) -> None:
    """A floating tag moves only to the newest version of its line."""
    found = rows(make_plan(asked(), {HUB: state}, RELEASED))
    assert {tag: found[tag] for tag in expected} == expected


def test_force_lifts_a_yank() -> None:
    """Other content under a yanked version is not yanked any more."""
    state = held(t1_2_3=OLD, yanked__1_2_3=OLD)
    assert rows(make_plan(asked(force=True), {HUB: state}, RELEASED))["latest"] == ("create", None, "new")


def test_adopted_everywhere() -> None:
    """The manifest that one repository has already is what every other tag in every repository gets."""
    plan = make_plan(asked(images=("a/b", "ghcr.io/a/b")), {HUB: held(), OTHER: held(t1_2_3=AGAIN)}, RELEASED)
    assert {move.after for move in plan.moves} == {AGAIN}


def test_own_manifest_before_another_repositorys() -> None:
    """Where two repositories hold the image in other bytes, floating tags follow their own exact tag."""
    states = {HUB: held(t1_2_3=AGAIN), OTHER: held(t1_2_3=NEW)}
    plan = make_plan(asked(images=("a/b", "ghcr.io/a/b")), states, RELEASED)
    after = {move.reference: move.after for move in plan.moves if move.tag == "latest"}
    assert after == {HUB.tag("latest"): AGAIN, OTHER.tag("latest"): NEW}


def test_each_repository_has_its_own_versions() -> None:
    """A newer version in one repository holds nothing back in another."""
    states = {HUB: held(t2_0_0=HIGH, latest=HIGH), OTHER: held()}
    plan = make_plan(asked(images=("a/b", "ghcr.io/a/b")), states, RELEASED)
    actions = {move.reference: move.action for move in plan.moves if move.tag == "latest"}
    assert actions == {HUB.tag("latest"): Action.KEEP, OTHER.tag("latest"): Action.CREATE}


def test_kept_tags_are_not_listed() -> None:
    """`tags` lists what is written or is so already, in the rules' order; kept and refused tags aren't in it."""
    plan = make_plan(asked(), {HUB: held(t1_2_3=NEW, t2_0_0=HIGH, latest=HIGH)}, RELEASED)
    assert plan.tags == ("a/b:1.2.3", "a/b:1.2", "a/b:1")
    assert [move.tag for move in plan.moves] == ["1.2.3", "1.2", "1", "latest"]


def test_keep_names_the_holder() -> None:
    """A kept tag carries the version that holds it, and says so."""
    kept = move_of(make_plan(asked(), {HUB: held(t2_0_0=HIGH, latest=HIGH)}, RELEASED), "latest")
    assert (kept.version, kept.reason) == ("2.0.0", "2.0.0 is newer than 1.2.3, so latest stays with it")


def test_prerelease_floats_nothing() -> None:
    """A prerelease gives only its own tag."""
    plan = make_plan(asked("1.3.0-rc.1"), {HUB: held(latest=OLD)}, RELEASED)
    assert (rows(plan), plan.prerelease) == ({"1.3.0-rc.1": ("create", None, "new")}, True)


@pytest.mark.parametrize(
    ("state", "content", "expected"),
    [
        pytest.param(held(), RELEASED, ("create", None, "new"), id="absent"),
        pytest.param(held(main=OLD), RELEASED, ("move", "old", "new"), id="another-image"),
        pytest.param(held(main=OLD), None, ("move", "old", None), id="no-source"),
        pytest.param(held(main=NEW), RELEASED, ("unchanged", "new", "new"), id="same-bytes"),
        pytest.param(held(main=AGAIN), RELEASED, ("move", "again", "new"), id="same-image-own-manifest"),
        pytest.param(held(main=AGAIN), LOOSE, ("unchanged", "again", "again"), id="same-image-without-manifest"),
    ],
)
def test_ref_tag(
    state: Published, content: ReleasedContent | None, expected: tuple[str, str | None, str | None]
) -> None:
    """A branch's tag is written as asked, unless it holds the image already."""
    assert rows(make_plan(asked(None), {HUB: state}, content))["main"] == expected


def test_ref_tag_adopts() -> None:
    """The manifest under one tag of the branch serves its other tags."""
    assert rows(make_plan(asked(None), {HUB: held(main=AGAIN)}, LOOSE))["sha-0123456"] == ("create", None, "again")


@pytest.mark.parametrize(("force", "action"), [(False, Action.REFUSE), (True, Action.MOVE)])
def test_branch_named_like_a_version(force: bool, action: Action) -> None:
    """A branch doesn't overwrite a published version, unless forced."""
    made = asked(None, ref="refs/heads/1.2.3", force=force)
    assert move_of(make_plan(made, {HUB: held(t1_2_3=OLD)}, RELEASED), "1.2.3").action is action


def test_branch_named_like_a_line() -> None:
    """A branch that takes a floating tag away from a version is warned of."""
    plan = make_plan(asked(None, ref="refs/heads/1.2"), {HUB: held(t1_2_3=OLD, t1_2=OLD, t1=OLD, latest=OLD)}, RELEASED)
    assert plan.warnings == ("1.2 of a/b is also the tag of version 1.2.3, which it would replace",)


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        pytest.param(held(t1_0_0=OLD, latest=OLD), ("keep", "old", "old"), id="versions-published"),
        pytest.param(held(latest=OLD), ("move", "old", "new"), id="no-version"),
        pytest.param(held(t1_0_0__rc_1=OLD, latest=OLD), ("move", "old", "new"), id="only-a-prerelease"),
    ],
)
def test_latest_without_a_version(state: Published, expected: tuple[str, str | None, str | None]) -> None:
    """A build without a version leaves `latest` alone once a stable version is published."""
    made = asked(None)
    made = replace(made, names=(*made.names, Name(Tag("latest"), Kind.FLOATING)))
    assert rows(make_plan(made, {HUB: state}, RELEASED))["latest"] == expected


def test_registry_not_asked() -> None:
    """Offline every tag counts as new, and the reason says that nobody looked."""
    plan = make_plan(asked(), {}, RELEASED)
    assert {(move.action, move.before, move.after) for move in plan.moves} == {(Action.CREATE, None, NEW)}
    assert all("what the registry holds was not looked at" in move.reason for move in plan.moves)


@pytest.mark.parametrize(
    ("state", "shown"),
    [
        pytest.param(
            held(t2_0_0=HIGH, latest=OLD, t2=HIGH, t2_0=HIGH), "latest (drift, belongs to 2.0.0)", id="kept-tag"
        ),
        pytest.param(held(t2_0_0=HIGH, latest=HIGH, t2=OLD, t2_0=HIGH), "2 (drift, belongs to 2.0.0)", id="other-line"),
        pytest.param(held(t2_0_0=HIGH, latest=HIGH, t2=HIGH), "2.0 (missing, belongs to 2.0.0)", id="missing"),
    ],
)
def test_drift_is_a_warning(state: Published, shown: str) -> None:
    """A release leaves other lines alone, and says which are wrong."""
    plan = make_plan(asked(), {HUB: state}, RELEASED)
    assert plan.warnings == (
        f"floating tags of a/b are not where they belong: {shown}; `publish reconcile` puts them right",
    )


def test_much_drift_is_one_warning() -> None:
    """However many lines are wrong, one sentence tells of them."""
    state = Published(frozenset(f"3.{minor}.0" for minor in range(10)))
    (warning,) = make_plan(asked("1.0.0"), {HUB: state}, RELEASED).warnings
    assert "and 7 more" in warning


def test_yanked_release_is_a_warning() -> None:
    """A release of a yanked version tells how to undo the yank."""
    plan = make_plan(asked(), {HUB: held(t1_2_3=NEW, yanked__1_2_3=NEW)}, RELEASED)
    assert plan.warnings == ("1.2.3 is yanked in a/b, so no floating tag moves to it; `publish yank --undo 1.2.3`",)


def test_document() -> None:
    """The plan as other programs read it."""
    plan = make_plan(asked(images=("Yeong/App",)), {Repository.parse("yeong/app"): held()}, LOOSE)
    document = msgspec.json.decode(encode(plan))
    assert document["moves"][0] == {
        "reference": "docker.io/yeong/app:1.2.3",
        "tag": "1.2.3",
        "kind": "exact",
        "version": "1.2.3",
        "action": "create",
        "from": None,
        "to": None,
        "reason": "version 1.2.3 is not published here yet",
    }
    del document["moves"]
    labels = {
        "org.opencontainers.image.version": "1.2.3",
        "org.opencontainers.image.revision": COMMIT,
    }
    assert document == {
        "schema": "publish.plan/1",
        "version": "1.2.3",
        "release": "1.2.3",
        "revision": COMMIT,
        "prerelease": False,
        "images": ["yeong/app"],
        "tags": ["yeong/app:1.2.3", "yeong/app:1.2", "yeong/app:1", "yeong/app:latest"],
        "labels": labels,
        "annotations": labels,
        "warnings": [],
    }
    assert decode(encode(plan), Plan) == plan


def test_sandbox_is_marked() -> None:
    """A plan made for the sandbox carries it."""
    facts = Facts(now=datetime(2026, 1, 1, tzinfo=UTC), revision=COMMIT, ref="refs/heads/main")
    plan = make_plan(candidates(PlanRequest(images=("a/b",), sandbox=True), facts), {})
    assert msgspec.json.decode(encode(plan))["sandbox"] is True


def test_without_an_image() -> None:
    """Without an image the tags stand alone."""
    plan = make_plan(asked(images=()), {})
    assert (plan.tags, plan.moves) == (("1.2.3", "1.2", "1", "latest"), ())


def test_no_tag_says_why() -> None:
    """A plan without any tag carries the reason."""
    plan = make_plan(asked(None, ref=""), {HUB: held()}, RELEASED)
    assert (plan.tags, plan.version, plan.release) == ((), None, None)
    assert "no version tag points at it" in plan.warnings[0]


def test_every_reason_is_a_sentence() -> None:
    """Every move says why, in one line."""
    state = held(t1_2_3=OLD, t2_0_0=HIGH, t1_2=OLD, latest=HIGH)
    for move in make_plan(asked(), {HUB: state}, RELEASED).moves:
        assert move.reason
        assert "\n" not in move.reason


def test_the_command_to_run_next_has_the_same_options() -> None:
    """A plan for --image is put right for that image, not for the configuration's."""
    drifted = held(t1_2_2=OLD, t1_2=HIGH, t1=OLD, tlatest=OLD)
    plan = make_plan(replace(asked("1.1.0"), selection=" --image a/b"), {HUB: drifted}, RELEASED)
    assert any("`publish reconcile --image a/b` puts them right" in warning for warning in plan.warnings)
