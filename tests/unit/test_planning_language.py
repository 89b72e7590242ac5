"""The rule language: what is read, what is refused, and what expressions stand for."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from publisher.model.errors import ConfigError
from publisher.model.facts import Facts
from publisher.model.fields import fields
from publisher.model.plan import Kind
from publisher.planning.candidates import PlanRequest, candidates
from publisher.planning.expressions import format_moment
from publisher.planning.flavor import Flavor, Latest, read_flavor
from publisher.planning.rules import DEFAULT, Rule, read_rule, read_rules

COMMIT = "0123456789abcdef0123456789abcdef01234567"
NOW = datetime(2026, 1, 5, 14, 3, 9, 45_000, tzinfo=UTC)


def facts(ref: str = "refs/tags/v1.2.3", **known: Any) -> Facts:
    """Facts of a CI run for a ref."""
    return Facts(**{"now": NOW, "revision": COMMIT, "ref": ref, "in_ci": True, "default_branch": "main", **known})


def made(rules: list[str], around: Facts | None = None, **asked: Any) -> list[tuple[str, str]]:
    """Names and kinds that rules give."""
    found = candidates(PlanRequest(rules=tuple(rules), **asked), around or facts())
    return [(name.tag, name.kind) for name in found.names]


def warned(rules: list[str], around: Facts | None = None, **asked: Any) -> str:
    """All warnings."""
    return " / ".join(candidates(PlanRequest(rules=tuple(rules), **asked), around or facts()).warnings)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("type=sha", [("type", "sha")], id="one"),
        pytest.param(" TYPE = raw , Value=A=b ", [("type", "raw"), ("value", "A=b")], id="trimmed-keys-lowered"),
        pytest.param('type=match,"pattern=a,b"', [("type", "match"), ("pattern", "a,b")], id="quoted"),
        pytest.param('"a ""b"""', [("", 'a "b"')], id="quote-in-quotes"),
        pytest.param("latest", [("", "latest")], id="bare"),
    ],
)
def test_fields(text: str, expected: list[tuple[str, str]]) -> None:
    """A record is CSV with quotes around whole fields."""
    assert fields(text) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("type=nope", "'nope' is no type of rule", id="type"),
        pytest.param("type=semver", "needs 'pattern'", id="semver-pattern"),
        pytest.param("type=pep440", "needs 'pattern'", id="pep440-pattern"),
        pytest.param("type=match", "needs 'pattern'", id="match-pattern"),
        pytest.param("type=ref", "needs 'event'", id="ref-event"),
        pytest.param("type=raw", "needs 'value'", id="raw-value"),
        pytest.param("type=ref,event=push", "event is 'push'", id="event"),
        pytest.param("type=sha,format=full", "format is 'full'", id="format"),
        pytest.param("type=sha,pattern=x", "has no 'pattern'", id="key-of-another-type"),
        pytest.param("type=sha,foo", "has no 'value'", id="bare-field"),
        pytest.param("type=raw,value=x,priority=high", "priority is 'high'", id="priority"),
        pytest.param("type=match,pattern=x,group=one", "group is 'one'", id="group"),
        pytest.param("type=match,pattern=(", "is no regular expression", id="regex"),
        pytest.param("type=match,pattern=/x/q", "'q' is no flag", id="flag"),
        pytest.param("type=semver,pattern={{version}},match=v.*", "its match has no group", id="match-group"),
        pytest.param("type=semver,pattern={{versoin}}", "'{{versoin}}' is no part of a version", id="part"),
        pytest.param("type=semver,pattern={{version", "braces", id="braces"),
        pytest.param('type=raw,value="x"', "a quote", id="quote"),
    ],
)
def test_bad_rule(text: str, said: str) -> None:
    """A rule that can't be read is named, with what is wrong."""
    with pytest.raises(ConfigError, match="the rule '") as caught:
        read_rule(text)
    assert said in caught.value.message
    assert text in caught.value.message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("type=raw,value=x,enable=yes", "enable is 'yes'", id="enable"),
        pytest.param("type=raw,value=x,enable=", "enable is ''", id="empty-enable"),
        pytest.param("type=raw,value={{brnch}}", "'{{brnch}}' is no expression", id="expression"),
        pytest.param("type=raw,value={{branch main}}", "takes nothing", id="argument"),
        pytest.param("type=raw,value={{date 'YYYY' zone='UTC'}}", "'zone' is no attribute", id="attribute"),
        pytest.param("type=raw,value={{date 'YYYY' tz='Mars/Base'}}", "'Mars/Base' is no time zone", id="zone"),
        pytest.param("type=raw,value={{branch", "braces", id="open"),
        pytest.param("type=sha,prefix={{x}}", "'{{x}}' is no expression", id="prefix"),
        pytest.param("type=schedule,pattern={{branch}}", "'{{branch}}' is no expression here", id="schedule"),
    ],
)
def test_bad_expression(text: str, said: str) -> None:
    """An expression that means nothing is an error that names its rule."""
    with pytest.raises(ConfigError) as caught:
        made([text])
    assert said in caught.value.message
    assert text in caught.value.message


@pytest.mark.parametrize(
    "text",
    ["latest=maybe", "latest", "onlatest=true", "prefix=a,onlatest=yes", "tag=x", "latest=true,onlatest=true", 'a"b'],
)
def test_bad_flavor(text: str) -> None:
    """A flavor that can't be read is named."""
    with pytest.raises(ConfigError, match="the flavor '"):
        read_flavor((text,))


def test_flavor() -> None:
    """Records add up; comments and empty lines of a block are passed over."""
    block = "latest=true\n\n# mine\nprefix=a-,onlatest=true\nsuffix=-b"
    assert read_flavor((block,)) == Flavor(latest=Latest.TRUE, prefix="a-", suffix="-b", prefix_on_latest=True)


def test_no_rules_are_the_default() -> None:
    """Nothing given, or an empty list, means the default rules; a flavor applies to them too."""
    assert read_rules(None, None) == read_rules((), ()) == DEFAULT
    assert read_rules(None, ("latest=false",)).rules == DEFAULT.rules


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        pytest.param("type=semver,pattern={{version}}", Kind.EXACT, id="version"),
        pytest.param("type=semver,pattern=v{{raw}}-x", Kind.EXACT, id="raw"),
        pytest.param("type=semver,pattern={{major}}.{{minor}}.{{patch}}", Kind.EXACT, id="all-parts"),
        pytest.param("type=semver,pattern={{major}}", Kind.FLOATING, id="major"),
        pytest.param("type=semver,pattern=stable", Kind.FLOATING, id="fixed-pattern"),
        pytest.param("type=pep440,pattern={{version}}", Kind.EXACT, id="pep440"),
        pytest.param(r"type=match,pattern=\d+\.\d+\.\d+", Kind.EXACT, id="match-whole"),
        pytest.param(r"type=match,pattern=\d+\.\d+", Kind.FLOATING, id="match-line"),
        pytest.param("type=match,pattern=v", Kind.REF, id="match-word"),
        pytest.param("type=ref,event=tag", Kind.EXACT, id="ref-tag"),
        pytest.param("type=raw,value=1.2.3", Kind.REF, id="raw-word"),
        pytest.param("type=sha", Kind.REF, id="sha"),
    ],
)
def test_kinds(rule: str, expected: Kind) -> None:
    """The whole version is exact, its lines float, anything else is a ref tag."""
    assert made([rule])[0][1] == expected


@pytest.mark.parametrize("ref", ["v2.0.8-beta.67", "20200110-RC2", "1.2.3rc2"])
@pytest.mark.parametrize("rule", ["type=ref,event=tag", "type=match,pattern=.*"])
def test_prerelease_takes_no_latest(ref: str, rule: str) -> None:
    """A prerelease by semver or PEP 440 gives no latest, whatever the type of the rule."""
    assert [tag for tag, _ in made([rule], facts(f"refs/tags/{ref}"))] == [ref]


def test_prerelease_with_latest_asked_for() -> None:
    """latest=true gives latest to a prerelease too, with a warning."""
    rules, around = ["type=semver,pattern={{version}}"], facts("refs/tags/v2.0.0-rc.1")
    assert made(rules, around, flavor=("latest=true",)) == [("2.0.0-rc.1", "exact"), ("latest", "floating")]
    assert "latest would point to 2.0.0-rc.1" in warned(rules, around, flavor=("latest=true",))


def test_floating_without_exact() -> None:
    """Rules for lines without one for the version itself are warned of."""
    assert "no rule makes that version's own tag" in warned(["type=semver,pattern={{major}}"])
    assert not warned(["type=semver,pattern={{major}}", "type=semver,pattern={{version}}"])


def test_two_kinds_make_a_ref_tag() -> None:
    """A name that two kinds of rules make is a ref tag, with a warning."""
    rules = ["type=semver,pattern={{version}}", "type=semver,pattern={{major}}", "type=raw,value=1"]
    assert made(rules)[:2] == [("1.2.3", "exact"), ("1", "ref")]
    assert "1 is made by two kinds of rules" in warned(rules)


def test_no_match_keeps_the_value() -> None:
    """A semver rule whose match doesn't fit warns and takes the value whole."""
    rule = "type=semver,pattern={{version}},match=app-(.*)"
    assert made([rule])[0] == ("1.2.3", "exact")
    assert "doesn't match 'app-(.*)'" in warned([rule])


def test_absent_group() -> None:
    """A group that isn't there gives no tag and a warning."""
    rule = "type=match,pattern=v(.*),group=2"
    assert not made([rule])
    assert "there is no group 2" in warned([rule])


@pytest.mark.parametrize(
    ("pattern", "group", "expected"),
    [
        pytest.param("/V(.*)/i", "1", "1.2.3", id="flag-i"),
        pytest.param(r"/\d/g", "2", "3", id="flag-g-counts-matches"),
        pytest.param(r"v(?<all>.*)", "1", "1.2.3", id="named-group"),
        pytest.param("/1/2", "0", None, id="no-flags-but-a-number"),
    ],
)
def test_patterns_of_javascript(pattern: str, group: str, expected: str | None) -> None:
    """A pattern may be written /re/flags; named groups have JavaScript's form."""
    found = made([f"type=match,pattern={pattern},group={group}"])
    assert (found[0][0] if found else None) == expected


def test_default_prefixes_are_the_rules_own() -> None:
    """The flavor's prefix stands before rules that have none; sha and pr have one."""
    rules = ["type=sha", "type=ref,event=branch", "type=sha,prefix=,format=long"]
    found = made(rules, facts("refs/heads/main"), flavor=("prefix=a-",))
    assert [tag for tag, _ in found] == ["a-main", "sha-0123456", COMMIT]


def test_empty_value_gives_no_tag() -> None:
    """A value that expands to nothing gives no tag, except with the rule's own prefix or suffix."""
    assert not made(["type=raw,value={{branch}}"])
    assert made(["type=raw,value={{branch}},suffix=x"]) == [("x", "ref")]


def test_latest_true_needs_a_tag() -> None:
    """Where no rule gives a tag, latest=true gives none either."""
    assert not made(["type=ref,event=branch"], flavor=("latest=true",))


def test_short_commit() -> None:
    """The short commit has as many digits as the facts say."""
    assert made(["type=sha"], facts(short=12)) == [("sha-0123456789ab", "ref")]


def test_versions_of_pep440_count() -> None:
    """With rules of PEP 440 a version may be stated in its form."""
    found = made(["type=pep440,pattern={{version}}", "type=pep440,pattern={{major}}"], version="1.3rc1")
    assert found == [("1.3rc1", "exact")]


def test_edge_without_default_branch() -> None:
    """Where the default branch is unknown, edge says what to write."""
    around = facts("refs/heads/main", default_branch="")
    assert not made(["type=edge"], around)
    assert "write branch=NAME" in warned(["type=edge"], around)


def test_rule_shows_as_written() -> None:
    """An error quotes a rule as the user wrote it."""
    assert str(read_rule("type=sha , format=long")) == "type=sha , format=long"
    assert str(Rule(type=DEFAULT.rules[0].type, pattern="x")) == "type=semver,pattern=x"


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (None, "2026-01-05T14:03:09Z"),
        ("YYYYMMDD-HHmmss", "20260105-140309"),
        ("YYYY-MM-DDTHH:mm:ss.SSS[Z]", "2026-01-05T14:03:09.045Z"),
        ("YY M D Do DDD DDDD", "26 1 5 5th 5 005"),
        ("MMM MMMM ddd dddd dd d E", "Jan January Mon Monday Mo 1 1"),
        ("H h hh A a k m s", "14 2 02 PM pm 14 3 9"),
        ("W WW GGGG w ww gggg Q", "2 02 2026 2 02 2026 1"),
        ("X x", "1767621789 1767621789045"),
        ("Z ZZ", "+00:00 +0000"),
        ("[at] L LT", "at 01/05/2026 2:03 PM"),
    ],
)
def test_moments(pattern: str | None, expected: str) -> None:
    """Dates are written by moment's tokens."""
    assert format_moment(NOW, pattern) == expected
