"""What holds for every set of rules and every way to write versions: names read back, no floating tag goes back."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from publisher.model.digest import Digest
from publisher.model.errors import PublishError
from publisher.model.facts import Facts
from publisher.model.plan import Action, Kind
from publisher.model.reference import Repository
from publisher.planning.candidates import Candidates, PlanRequest, bound_rules, candidates, to_read
from publisher.planning.lines import Published, to_ask
from publisher.planning.plan import ReleasedContent, make_plan
from publisher.planning.tag_reader import tag_reader

if TYPE_CHECKING:
    from random import Random

    from publisher.model.plan import Plan
    from publisher.planning.version import Version

HUB = Repository.parse("a/b")
COMMIT = "0123456789abcdef0123456789abcdef01234567"
FACTS = Facts(now=datetime(2026, 1, 1, tzinfo=UTC), revision=COMMIT, in_ci=True)
# Another day, another branch: what is released then says nothing of what is there.
ELSEWHERE = Facts(now=datetime(2027, 2, 3, tzinfo=UTC), revision="f" * 40, ref="refs/heads/x", in_ci=True)

NUMBER = st.sampled_from(["0", "1", "2", "3", "9", "10", "12"])
PADDED = st.sampled_from(["01", "02", "10", "11"])
SEMVER = st.builds(
    lambda a, b, c, end: f"{a}.{b}.{c}{end}",
    NUMBER, NUMBER, NUMBER,
    st.sampled_from(["", "", "", "", "-rc.1", "-beta", "-alpine", "-fork.1", "+fork.1", "+build.2", "+cu118", "-1"]),
)  # fmt: skip
CALENDAR = st.one_of(
    st.builds(lambda m, c: f"2026.{m}.{c}", PADDED, NUMBER),
    st.builds(lambda m: f"2026.{m}", PADDED),
    st.builds(lambda m, d, end: f"2026{m}{d}{end}", PADDED, PADDED, st.sampled_from(["", "-1", "-2", "-RC2"])),
    st.builds(lambda m, d: f"2026-{m}-{d}", PADDED, PADDED),
    st.builds(lambda a, b, c, d: f"{a}.{b}.{c}.{d}", NUMBER, NUMBER, NUMBER, NUMBER),
    st.builds(lambda a, b: f"{a}.{b}", NUMBER, NUMBER),
)
PEP440 = st.builds(
    lambda epoch, a, b, end: f"{epoch}{a}.{b}{end}",
    st.sampled_from(["", "", "", "1!"]),
    NUMBER,
    NUMBER,
    st.sampled_from(["", ".0", ".3", "rc1", ".post1", ".dev2", "+cu118", "+cu99", "a1"]),
)
TEXT = st.one_of(SEMVER, CALENDAR, PEP440, st.sampled_from(["nightly", "stable", "7"]))
GIT_PREFIX = st.sampled_from(["", "v", "v", "v", "docker-xfce-v", "release-", "api/v"])

AFFIXES = st.sampled_from(
    ["", "", "", ",prefix=api-", ",suffix=-alpine", ",prefix=v", ",prefix={{date 'YYYYMMDD'}}-", ",suffix=-{{sha}}"]
)
ENABLED = st.sampled_from(["", "", "", ",enable={{is_default_branch}}", ",enable=false"])
EXACT = [
    "type=semver,pattern={{version}}",
    "type=semver,pattern=v{{version}}",
    "type=semver,pattern={{raw}}",
    "type=semver,pattern={{major}}.{{minor}}.{{patch}}",
    "type=semver,pattern={{major}}{{minor}}{{patch}}",
    "type=semver,pattern={{version}},match=docker-xfce-v(.*)",
    "type=semver,pattern=r{{version}}-x",
    "type=pep440,pattern={{version}}",
    "type=pep440,pattern={{raw}}",
    "type=ref,event=tag",
    r"type=match,pattern=v(.*),group=1",
    r"type=match,pattern=(.*),group=1",
    r"type=match,pattern=\d.*",
    r"type=match,pattern=(\d+\.\d+\.\d+),group=1",
    r"type=match,pattern=docker-xfce-v(\d+\.\d+\.\d+),group=1",
    r"type=match,pattern=docker-xfce-v\d+\.\d+\.\d+",
    r"type=match,pattern=release-(.*),group=1",
    r"type=match,pattern=v(\d+\.\d+(?:\.\d+)?),group=1",
    r"type=match,pattern=^v?(\d{4}\.\d{2}(?:\.\d+)?)$,group=1",
    r"type=match,pattern=\d{8}",
    r"type=match,pattern=/V(\d+\.\d+\.\d+)/i,group=1",
    r"type=match,pattern=(?<=v)\d+\.\d+\.\d+",
    r'type=match,"pattern=(v|release-)(\d+\.\d+\.\d+(?:[-+].*)?)",group=2',
]
LINES = [
    "type=semver,pattern={{major}}.{{minor}}",
    "type=semver,pattern={{major}}",
    "type=pep440,pattern={{major}}.{{minor}}",
    "type=pep440,pattern={{major}}",
    r"type=match,pattern=docker-xfce-v(\d+\.\d+),group=1",
    r"type=match,pattern=docker-xfce-v(\d+),group=1",
    r"type=match,pattern=v(\d+\.\d+),group=1",
    r"type=match,pattern=v(\d+)\.\d+\.\d+,group=1",
    r"type=match,pattern=(\d+),group=1",
]
OTHER = ["type=sha", "type=edge", "type=ref,event=branch", "type=raw,value=fixed", "type=schedule"]
RULE = st.builds(lambda rule, affix, enabled: f"{rule}{affix}{enabled}", st.sampled_from(EXACT), AFFIXES, ENABLED)
LINE = st.builds(lambda rule, affix: f"{rule}{affix}", st.sampled_from(LINES), AFFIXES)
RULES = st.builds(
    lambda exact, lines, other: tuple(dict.fromkeys([*exact, *lines, *other])),
    st.lists(RULE, min_size=1, max_size=3),
    st.lists(LINE, max_size=2),
    st.lists(st.sampled_from(OTHER), max_size=1),
)
FLAVOR = st.sampled_from(
    [(), (), (), ("latest=true",), ("latest=false",), ("suffix=-slim",), ("prefix=api-,onlatest=true",)]
)
REF = st.builds(lambda prefix, text: f"{prefix}{text}", GIT_PREFIX, TEXT)


@pytest.fixture
def sweep(request: pytest.FixtureRequest) -> settings:
    """2,000 generated cases, the same in each run; on demand 50,000 new ones."""
    whole = bool(request.config.getoption("--whole"))
    return settings(
        max_examples=50_000 if whole else 2_000,
        derandomize=not whole,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


def asked_for(rules: tuple[str, ...], flavor: tuple[str, ...], ref: str) -> Candidates | None:
    """What the rules give for a git tag in CI; None where the rules refuse the text of a tag."""
    request = PlanRequest(images=("a/b",), rules=rules, flavor=flavor)
    try:
        return candidates(request, replace(FACTS, ref=f"refs/tags/{ref}"))
    except PublishError:
        return None


def test_exact_tags_read_back(sweep: settings) -> None:
    """Each exact tag that a release writes reads back as its version when something else is built."""

    @given(RULES, FLAVOR, REF)
    @sweep
    def check(rules: tuple[str, ...], flavor: tuple[str, ...], ref: str) -> None:
        asked = asked_for(rules, flavor, ref)
        if asked is None:
            return
        reader = tag_reader(bound_rules(PlanRequest(rules=rules, flavor=flavor), ELSEWHERE))
        for name in asked.of_kind(Kind.EXACT):
            if name.version and not name.clash:
                assert name.version in reader.versions(str(name.tag)), (rules, flavor, ref, name)

    check()


def taking(rules: tuple[str, ...], prefix: str) -> tuple[str, ...]:
    """Those of the rules that can take refs with such a prefix: no plan could know that others never give a tag."""
    return tuple(rule for rule in rules if _takes(rule, prefix)) or ("type=ref,event=tag",)


def _takes(rule: str, prefix: str) -> bool:
    words = ("docker-xfce-v", "release-", "v(", "V(", "(?<=v)", "(v|")
    needed = next((word.strip("()|?<=").lower() for word in words if word in rule), "")
    plain = rule.startswith(("type=semver", "type=pep440")) and ",match=" not in rule
    return prefix in {"", "v"} if plain else prefix.endswith(needed)


@dataclass
class History:
    """One repository, and releases of git tags into it; every image states its version in a label, or none does.

    written: which version the image under each digest is. names: the floating tags that each published version has.
    told: whether every tag could be read, by its text or by its image's label.
    by_request: floating tags that latest=true gave to a prerelease, as the user asked.
    """

    rules: tuple[str, ...]
    flavor: tuple[str, ...]
    labelled: bool
    held: dict[str, Digest] = field(default_factory=dict)
    labels: dict[Digest, str] = field(default_factory=dict)
    written: dict[Digest, Version] = field(default_factory=dict)
    names: dict[Version, set[str]] = field(default_factory=dict)
    told: bool = True
    by_request: set[str] = field(default_factory=set)

    def read(self, asked: Candidates) -> Published:
        """What a plan reads, images asked as the workflows ask them."""
        state = Published(frozenset(self.held), {tag: self.held[tag] for tag in to_read(asked, self.held)})
        while tags := to_ask(asked.ruleset, state, asked.versions):
            answers = {tag: self.labels.get(self.held[tag], "") for tag in tags}
            state = replace(state, stated={**state.stated, **answers})
        return state

    def release(self, ref: str) -> None:
        """Release an image of its own for a git tag, checking each floating tag that moves."""
        asked = asked_for(self.rules, self.flavor, ref)
        if asked is None or asked.release is None:
            return
        digest = Digest.of(ref.encode())
        plan = make_plan(asked, {HUB: self.read(asked)}, ReleasedContent(digest, frozenset({digest})))
        self.told = self.told and not any("in several ways" in warning for warning in plan.warnings)
        if any(move.action is Action.REFUSE for move in plan.moves):
            return
        version = max(asked.versions)
        # 0.0.0-1 is a prerelease to a semver rule and 0.0.0.post1 to a pep440 rule beside it: two versions at once.
        self.told &= len({one.without_build() for one in asked.versions}) == 1
        self.labels[digest] = asked.labels.get("org.opencontainers.image.version", "") if self.labelled else ""
        self.written[digest] = version
        unheld = any("so nothing is held back" in warning for warning in plan.warnings)
        self.told = self.told and not unheld
        if version in asked.published and not version.is_prerelease and not unheld:
            self.names[version] = {str(name.tag) for name in asked.of_kind(Kind.FLOATING) if name.version}
        self.carry_out(plan, version, ref)

    def carry_out(self, plan: Plan, version: Version, ref: str) -> None:
        """Write what is planned."""
        for move in plan.moves:
            before = self.held.get(move.tag)
            if move.kind is Kind.FLOATING and move.action.writes and before:
                earlier = self.written[before]
                eligible = earlier in self.names and move.tag in self.names[earlier]
                assert not eligible or earlier <= version, (self, ref, move)
            if move.kind is Kind.FLOATING and move.action.writes and version.is_prerelease:
                assert self.flavor == ("latest=true",), (self, ref, move)
                self.by_request.add(move.tag)
            if move.action.writes:
                assert move.after is not None
                self.held[move.tag] = move.after

    def assert_highest(self) -> None:
        """Each floating tag holds the highest published version that has it.

        PEP 440's 2026.1 is the line of 2026.1.1 too, for which nothing was written while that was 2026.01.1.
        """
        normalized = any("pep440" in rule for rule in self.rules)
        for tag in set().union(*self.names.values()) - self.by_request:
            if normalized and tag not in self.held:
                continue
            highest = max(version for version, names in self.names.items() if tag in names)
            assert self.written[self.held[tag]] == highest, (self, tag)


def test_no_floating_tag_goes_back(sweep: settings) -> None:
    """Releases in any order: no floating tag moves to a lower version, and with labels each ends on the highest."""

    @given(RULES, FLAVOR, GIT_PREFIX, st.lists(TEXT, min_size=2, max_size=7), st.booleans())
    @sweep
    def check(rules: tuple[str, ...], flavor: tuple[str, ...], prefix: str, texts: list[str], labelled: bool) -> None:
        history = History(taking(rules, prefix), flavor, labelled)
        # What names no version may read as one: 20260101-1.0, a date before a version, 123, a commit of digits.
        history.told = not any("={{date" in rule or "={{sha" in rule or "=-{{sha" in rule for rule in history.rules)
        history.told &= not any("{{major}}{{minor}}{{patch}}" in rule for rule in history.rules)
        for text in texts:
            history.release(f"{prefix}{text}")
        if labelled and history.told:
            history.assert_highest()

    check()


WORD = "docker-xfce-v"
GROUPS = tuple(rf"type=match,pattern={WORD}({digits}),group=1" for digits in (r"\d+\.\d+\.\d+", r"\d+\.\d+", r"\d+"))


@pytest.mark.parametrize(
    ("rules", "higher", "lower", "watched", "exact"),
    [
        pytest.param(("type=ref,event=tag",), "2026.03.0", "2026.02.1", "latest", "2026.03.0", id="calendar"),
        pytest.param(("type=ref,event=tag",), "v0.8.4.0", "v0.8.3.1", "latest", "v0.8.4.0", id="four-numbers"),
        pytest.param(
            ("type=match,pattern=(.*),group=1",), "2026.03.0", "2026.02.1", "latest", "2026.03.0", id="match-calendar"
        ),
        pytest.param(("type=match,pattern=v(.*),group=1",), "v0.30", "v0.29.1", "latest", "0.30", id="two-numbers"),
        pytest.param(
            ("type=semver,pattern={{raw}}",), "v2.3.8+fork.1.0.2", "v2.3.7", "latest", "v2.3.8-fork.1.0.2", id="raw"
        ),
        pytest.param(
            ("type=match,pattern=v(.*),group=1",), "v2.3.8+fork.1", "v2.3.7", "latest", "2.3.8-fork.1", id="match-build"
        ),
        pytest.param(GROUPS, f"{WORD}0.2.0", f"{WORD}0.1.9", "0", "0.2.0", id="prefixed-group"),
        pytest.param(GROUPS, f"{WORD}0.2.0", f"{WORD}0.1.9", "latest", "0.2.0", id="prefixed-latest"),
        pytest.param(
            ("type=match,pattern=release-(.*),group=1",), "release-1.2.3", "release-1.2.2", "latest", "1.2.3", id="word"
        ),
        pytest.param(
            ("type=pep440,pattern={{version}}",), "v1.3.0+cu118", "v1.2.9", "latest", "1.3.0-cu118", id="local-version"
        ),
        pytest.param(("type=pep440,pattern={{version}}",), "1!1.0", "1.2.0", "latest", "1-1.0", id="epoch"),
        pytest.param(("type=ref,event=tag",), "20260203", "20260131", "latest", "20260203", id="dates"),
        pytest.param(("type=ref,event=tag",), "20260203-2", "20260203-1", "latest", "20260203-2", id="builds-of-a-day"),
        pytest.param(("type=ref,event=tag",), "2026-02-03", "2026-01-31", "latest", "2026-02-03", id="dashed-dates"),
        pytest.param(("type=ref,event=tag",), "v1.2.0", "v1.1.9", "latest", "v1.2.0", id="semver"),
        pytest.param(
            ("type=pep440,pattern={{version}}", r"type=match,pattern=v(\d+\.\d+),group=1"),
            "v2026.02.1", "v2026.02.0", "2026.02", "2026.2.1", id="zero-that-pep440-drops",
        ),
        pytest.param(
            ("type=pep440,pattern={{version}}", r"type=match,pattern=v(\d+\.\d+),group=1"),
            "v2026.02.1", "v2026.02", "2026.02", "2026.2.1", id="zero-that-pep440-drops-of-a-line",
        ),
        pytest.param(
            ("type=pep440,pattern={{version}}", "type=ref,event=tag"), "v20260102", "v2026.03.0", "latest", "v20260102",
            id="two-schemes-over-one-text",
        ),
        pytest.param(
            ("type=semver,pattern={{version}}", r"type=match,pattern=v(\d+\.\d+(?:\.\d+)?),group=1"),
            "v0.0.1+fork.1", "v0.0.0", "latest", "0.0.1", id="build-metadata-that-both-rules-drop",
        ),
        pytest.param(
            ("type=ref,event=tag", "type=semver,pattern={{major}}"), "v1.10.0", "v1.9.0", "1", "v1.10.0", id="line"
        ),
    ],
)  # fmt: skip
@pytest.mark.parametrize("labelled", [True, False], ids=["labelled", "unlabelled"])
def test_a_lower_release_takes_nothing(
    rules: tuple[str, ...], higher: str, lower: str, watched: str, exact: str, labelled: bool
) -> None:
    """Ways to write versions that once let a lower release take a floating tag from a higher one."""
    history = History(rules, (), labelled)
    history.release(higher)
    history.release(lower)
    assert history.held[watched] == history.held[exact] == Digest.of(higher.encode())


# Tags of well-known projects, each in the order of its versions.
WELL_KNOWN = {
    "home-assistant": ("2025.1.0", "2025.1.4", "2025.12.1", "2026.1.0b0", "2026.1.0", "2026.2.3"),
    "ubuntu": ("20.04", "20.10", "22.04", "22.10", "23.04", "24.04"),
    "minio": ("RELEASE.2024-01-01T00-00-00Z",),
    "youtube-dl": ("2020.12.31", "2021.01.03", "2021.02.04.1", "2021.12.17"),
    "keycloak": ("v8.0.2", "v9.0.0", "v21.1.2", "v22.0.0"),
    "pytorch": ("v1.12.1+cu102", "v1.12.1+cu113", "v1.13.0+cu117", "v2.0.0+cu118"),
    "debian-snapshots": ("20230612", "20240110", "20240211-1", "20240211-2", "20260203"),
    "unbound": ("release-1.9.6", "release-1.10.0", "release-1.13.1", "release-1.22.0"),
}
TAKES = {
    "unbound": "type=match,pattern=release-(.*),group=1",
    "pytorch": "type=pep440,pattern={{version}}",
    "ubuntu": "type=match,pattern=(.*),group=1",
}


@pytest.mark.parametrize("project", WELL_KNOWN)
@given(random=st.randoms(use_true_random=False))
@settings(max_examples=25, deadline=None)
def test_histories_of_well_known_projects(project: str, random: Random) -> None:
    """Released in any order, latest ends on the newest."""
    tags = WELL_KNOWN[project]
    shuffled = list(tags)
    random.shuffle(shuffled)
    history = History((TAKES.get(project, "type=ref,event=tag"),), (), labelled=True)
    for tag in shuffled:
        history.release(tag)
    if history.names:
        assert history.held["latest"] == Digest.of(tags[-1].encode())
    else:
        assert project == "minio", "its tags are no versions"


def test_few_images_are_asked() -> None:
    """Of tags that can be read in two ways only those are asked that a floating tag depends on."""
    rules = ("type=semver,pattern={{raw}}",)
    history = History(rules, (), labelled=True)
    for ref in ("v1.0.0+a", "v1.1.0+a", "v2.0.0", "v2.1.0-rc.1"):
        history.release(ref)
    lower = asked_for(rules, (), "v1.5.0")
    higher = asked_for(rules, (), "v3.0.0")
    assert lower
    assert higher
    assert not history.read(lower).stated
    assert not history.read(higher).stated
    history.release("v2.2.0+a")
    below = asked_for(rules, (), "v2.1.0")
    assert below
    assert history.read(below).stated.keys() == {"v2.2.0-a"}


def test_a_dropped_plus_is_told() -> None:
    """Two git tags that differ in build metadata alone get one name: the refusal says what was dropped."""
    history = History(("type=semver,pattern={{version}}",), (), labelled=True)
    history.release("v1.2.3+first")
    asked = asked_for(history.rules, (), "v1.2.3+second")
    assert asked
    digest = Digest.of(b"second")
    plan = make_plan(asked, {HUB: history.read(asked)}, ReleasedContent(digest, frozenset({digest})))
    move = plan.moves[0]
    assert (move.action, move.tag) == (Action.REFUSE, "1.2.3")
    assert "{{version}} leaves '+second' out" in move.reason


def test_a_label_keeps_the_plus() -> None:
    """What a tag can't hold stands in the image's label, so that the tag can be read back."""
    asked = asked_for(("type=semver,pattern={{raw}},prefix=api-",), (), "v1.2.3+cu118")
    assert asked
    assert str(asked.names[0].tag) == "api-v1.2.3-cu118"
    assert asked.labels["org.opencontainers.image.version"] == "api-v1.2.3+cu118"


def test_a_fixed_word_over_a_version_is_warned_of() -> None:
    """A raw rule alone may write over what looks like a version's own tag, and the plan says so."""
    held = {"1.1.9": Digest.of(b"a")}
    asked = asked_for(("type=raw,value=1.1.9",), (), "v2.0.0")
    assert asked
    digest = Digest.of(b"b")
    plan = make_plan(asked, {HUB: Published(frozenset(held), held)}, ReleasedContent(digest, frozenset({digest})))
    assert [move.action for move in plan.moves] == [Action.MOVE]
    assert any("1.1.9" in warning and "looks like a version's own tag" in warning for warning in plan.warnings)


def test_a_name_that_reads_back_as_another_version_is_refused() -> None:
    """A prerelease that a match cuts short would take the name of the version to come."""
    asked = asked_for((r"type=match,pattern=(\d+\.\d+\.\d+),group=1",), (), "v1.2.3-rc.1")
    assert asked
    digest = Digest.of(b"a")
    plan = make_plan(asked, {HUB: Published()}, ReleasedContent(digest, frozenset({digest})))
    assert plan.moves[0].action is Action.REFUSE
    assert "1.2.3 is the tag of version 1.2.3, and this is 1.2.3-rc.1" in plan.moves[0].reason


@pytest.mark.parametrize(
    ("rules", "ref"),
    [
        pytest.param(
            (
                "type=semver,pattern={{version}},prefix={{date 'YYYYMMDD'}}-",
                "type=semver,pattern={{major}}",
                r"type=match,pattern=v(\d+\.\d+),group=1",
            ),
            "v1.1.0",
            id="a-line-of-match",
        ),
        pytest.param(
            ("type=pep440,pattern={{version}},enable=false", "type=semver,pattern={{major}}.{{minor}}"),
            "v0.1.0",
            id="a-line-that-another-rule-would-read",
        ),
    ],
)
def test_a_line_is_no_version_of_its_own(rules: tuple[str, ...], ref: str) -> None:
    """Where only lines are written, nothing can be held back, and the plan says so."""
    asked = asked_for(rules, (), ref)
    assert asked
    assert any("so nothing is held back" in warning for warning in asked.warnings)


def test_a_text_that_is_two_versions_is_told() -> None:
    """What is a prerelease to semver comes after its numbers in PEP 440."""
    asked = asked_for(("type=semver,pattern={{version}}", "type=pep440,pattern={{version}}"), (), "v1.0.0-1")
    assert asked
    assert (
        "what is built is two versions, 1.0.0-1 by the rule 'type=semver,pattern={{version}}' and 1.0.0.post1 by the "
        "rule 'type=pep440,pattern={{version}}'; name one type, or a tag that both count alike"
    ) in asked.warnings
