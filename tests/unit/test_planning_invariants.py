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
from publisher.planning.plan import Known, make_plan
from publisher.planning.tag_reader import tag_reader

if TYPE_CHECKING:
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
def examples(request: pytest.FixtureRequest) -> int:
    """2,000 generated cases, 50,000 on demand."""
    return 50_000 if request.config.getoption("--whole") else 2_000


def asked_for(rules: tuple[str, ...], flavor: tuple[str, ...], ref: str) -> Candidates | None:
    """What the rules give for a git tag in CI; None where the rules refuse the text of a tag."""
    request = PlanRequest(images=("a/b",), rules=rules, flavor=flavor)
    try:
        return candidates(request, replace(FACTS, ref=f"refs/tags/{ref}"))
    except PublishError:
        return None


def test_exact_tags_read_back(examples: int) -> None:
    """Each exact tag that a release writes reads back as its version when something else is built."""

    @given(RULES, FLAVOR, REF)
    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    def check(rules: tuple[str, ...], flavor: tuple[str, ...], ref: str) -> None:
        asked = asked_for(rules, flavor, ref)
        if asked is None:
            return
        reader = tag_reader(bound_rules(PlanRequest(rules=rules, flavor=flavor), ELSEWHERE))
        for name in asked.of_kind(Kind.EXACT):
            if name.version and not name.clash:
                assert name.version in reader.versions(str(name.tag)), (rules, flavor, ref, name)

    check()


@dataclass
class History:
    """One repository, and releases of git tags into it; every image states its version in a label, or none does.

    written: which version the image under each digest is. names: the floating tags that each published version has.
    told: whether every tag could be read, by its text or by its image's label.
    """

    rules: tuple[str, ...]
    flavor: tuple[str, ...]
    labelled: bool
    held: dict[str, Digest] = field(default_factory=dict)
    labels: dict[Digest, str] = field(default_factory=dict)
    written: dict[Digest, Version] = field(default_factory=dict)
    names: dict[Version, set[str]] = field(default_factory=dict)
    told: bool = True

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
        plan = make_plan(asked, {HUB: self.read(asked)}, Known(digest, frozenset({digest})))
        self.told = self.told and not any("in several ways" in warning for warning in plan.warnings)
        if any(move.action is Action.REFUSE for move in plan.moves):
            return
        version = max(asked.versions)
        self.labels[digest] = asked.labels.get("org.opencontainers.image.version", "") if self.labelled else ""
        self.written[digest] = version
        if version in asked.published and not version.is_prerelease and asked.ruleset.names_versions:
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
            if move.action.writes:
                self.held[move.tag] = Digest.parse(move.after or "")

    def assert_highest(self) -> None:
        """Each floating tag holds the highest published version that has it."""
        for tag in set().union(*self.names.values()):
            highest = max(version for version, names in self.names.items() if tag in names)
            assert self.written[self.held[tag]] == highest, (self, tag)


def test_no_floating_tag_goes_back(examples: int) -> None:
    """Releases in any order: no floating tag moves to a lower version, and with labels each ends on the highest."""

    @given(RULES, FLAVOR, GIT_PREFIX, st.lists(TEXT, min_size=2, max_size=7), st.booleans())
    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    def check(rules: tuple[str, ...], flavor: tuple[str, ...], prefix: str, texts: list[str], labelled: bool) -> None:
        history = History(rules, flavor, labelled)
        for text in texts:
            history.release(f"{prefix}{text}")
        if labelled and history.told:
            history.assert_highest()

    check()
