"""The tags that a release asks for, before any registry has been looked at."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Final

import msgspec

from publisher.model.errors import NoVersion
from publisher.model.image_name import ImageName, read_images
from publisher.model.plan import Kind
from publisher.model.value import Value
from publisher.planning.build_ref import BuildRef, RefKind
from publisher.planning.lines import desired, exact_tags, spellings
from publisher.planning.names import Name, bind, names
from publisher.planning.ref_choice import RefReading, choose_ref
from publisher.planning.reserved import pull_request_names
from publisher.planning.rules import MARKER, read_rules
from publisher.planning.tag_reader import tag_reader

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from publisher.model.digest import Digest
    from publisher.model.facts import Facts
    from publisher.planning.lines import Published
    from publisher.planning.names import Naming
    from publisher.planning.rules import Ruleset
    from publisher.planning.version import Version


_SPACE: Final = "org.opencontainers.image."


def make_labels(facts: Facts, version: str | None, overrides: Mapping[str, str]) -> dict[str, str]:
    """Compose the labels of image-spec's predefined keys that are known; `overrides` win, an empty one removes."""
    project = facts.project
    known = {
        "title": project.title,
        "description": project.description,
        "url": project.url,
        "source": project.source,
        "version": version,
        "created": _time(facts.created),
        "revision": facts.revision,
        "licenses": project.licenses,
    }
    labels = {_SPACE + key: value for key, value in known.items()} | dict(overrides)
    return {key: value for key, value in labels.items() if value}


def _time(moment: datetime | None) -> str | None:
    """RFC 3339 in UTC, to the second: the same commit gives the same label on every machine."""
    return None if moment is None else moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


# Drift of other lines is only a warning, and costs two requests each; `publish status` looks at all of them.
MOST_LINES = 32


class PlanRequest(Value, frozen=True, kw_only=True):
    """What the user asks for.

    images: as written, without tags, perhaps with enable=BOOL. version: --version.
    rules, flavor: as written, None where not given.
    labels: the configuration's, then the options'; an empty value removes one.
    version_prefix: what this image's git tags start with; other_prefixes: those of the repository's other images.
    force: overwrite exact tags. pull_request: a pull request's tags are to be written, not only shown.
    selection: the options that name images and rules, for the commands that are told.
    """

    images: tuple[str, ...] = ()
    version: str | None = None
    rules: tuple[str, ...] | None = None
    flavor: tuple[str, ...] | None = None
    labels: Mapping[str, str] = msgspec.field(default_factory=dict)
    version_prefix: str = ""
    other_prefixes: tuple[str, ...] = ()
    pull_request: bool = False
    selection: str = ""
    force: bool = False
    sandbox: bool = False

    def reading(self, ruleset: Ruleset) -> RefReading:
        """How a git tag is read for this image; ruleset: the rules as written."""
        return RefReading(self.version_prefix, ruleset, self.other_prefixes)


class Candidates(Value, frozen=True, kw_only=True):
    """What would be written into an empty registry; names are in the rules' order, the same for each image.

    nameless: no image was named at all, so that the tags stand alone. selection: as asked for.
    """

    images: tuple[ImageName, ...]
    ruleset: Ruleset
    origin: BuildRef
    names: tuple[Name, ...]
    labels: Mapping[str, str]
    warnings: tuple[str, ...] = ()
    force: bool = False
    sandbox: bool = False
    nameless: bool = False
    selection: str = ""

    @property
    def release(self) -> Version | None:
        """The version that is published: the first of those that the rules name."""
        return next(iter(self.versions), None)

    @property
    def versions(self) -> tuple[Version, ...]:
        """All versions that the names speak of; more than one only where rules state versions of their own."""
        exact = [name.version for name in self.names if name.kind is Kind.EXACT and name.version]
        return tuple(dict.fromkeys(exact)) or self._followed

    @property
    def published(self) -> tuple[Version, ...]:
        """The versions that tags of their own will tell; those that floating tags follow, where no rule makes any."""
        reader = tag_reader(self.ruleset)
        told = [
            name.version
            for name in self.names
            if name.version and any(reading.version == name.version for reading in reader.readings(str(name.tag)))
        ]
        return tuple(dict.fromkeys(told)) if told or self.ruleset.names_versions else self._followed

    @property
    def spellings(self) -> tuple[str, ...]:
        """The exact names that mean one of these versions, as far as the rules alone tell them; the own ones first."""
        own = (str(name.tag) for name in self.of_kind(Kind.EXACT))
        others = (tag for version in self.versions for tag in spellings(self.ruleset, version))
        return tuple(dict.fromkeys((*own, *others)))

    def spelled(self, state: Published) -> dict[str, Digest]:
        """The exact names of these versions that a repository has, with what they hold."""
        reader = tag_reader(self.ruleset)
        either = any(reader.floats(tag) and reader.readings(tag) for tag in state.held)
        # What was not read is no answer; only a line's name that could be a version's depends on all that is there.
        known = exact_tags(self.ruleset, state.tags if either else state.held, state.stated)
        names = (*self.spellings, *(tag for version in self.versions for tag in known.get(version, ())))
        return {tag: state.held[tag] for tag in dict.fromkeys(names) if tag in state.held}

    @property
    def _followed(self) -> tuple[Version, ...]:
        """Without a rule for whole versions, what the floating names follow."""
        return tuple(dict.fromkeys(name.version for name in self.names if name.version))

    @property
    def tags(self) -> frozenset[str]:
        """All names."""
        return frozenset(name.tag for name in self.names)

    def of_kind(self, kind: Kind) -> tuple[Name, ...]:
        """The names of one kind, in order."""
        return tuple(name for name in self.names if name.kind is kind)


def candidates(request: PlanRequest, facts: Facts) -> Candidates:
    """Work out the names.

    Raises ConfigError for rules, BadReference for an image or a tag, UsageError and NoVersion for the version.
    """
    written = read_rules(request.rules, request.flavor)
    origin = choose_ref(facts, request.version, request.reading(written))
    ruleset = bind(written, origin)
    is_pushed = request.pull_request and facts.is_pull_request
    naming = pull_request_names(ruleset, origin) if is_pushed else names(ruleset, origin)
    first = naming.names[0] if naming.names else None
    return Candidates(
        images=read_images(request.images),
        ruleset=ruleset,
        origin=origin,
        names=naming.names,
        labels=make_labels(facts, first.label if first else None, request.labels),
        warnings=tuple(filter(None, (origin.note, *naming.warnings, _why_no_name(ruleset, origin, naming)))),
        force=request.force,
        nameless=not request.images,
        sandbox=request.sandbox,
        selection=request.selection,
    )


def _why_no_name(ruleset: Ruleset, origin: BuildRef, naming: Naming) -> str:
    """Why the rules give nothing, and what would; "" where they give something or have said why."""
    if naming.names or origin.note or naming.warnings:
        return ""
    if origin.kind is RefKind.TAG:
        return f"no rule gives a tag for the git tag {origin.name}; add type=ref,event=tag, which takes it as it is"
    taken = {RefKind.BRANCH: "the branch", RefKind.PULL: "the pull request"}.get(origin.kind, "what is built")
    event = "pr" if origin.kind is RefKind.PULL else "branch"
    versions = any(rule.scheme or rule.names_versions for rule in ruleset.rules)
    what = "the rules read versions, and HEAD bears no git tag that is one" if versions else "no rule is about it"
    return (
        f"no rule gives a tag for {taken} {origin.name}: {what}; tag the commit (git tag v1.2.3), name the version "
        f"(--version 1.2.3), or add type=ref,event={event}"
    )


def bound_rules(request: PlanRequest, facts: Facts) -> Ruleset:
    """The rules as they stand here and now, for a look at what is published: no version need be built.

    Raises ConfigError for rules.
    """
    written = read_rules(request.rules, request.flavor)
    try:
        origin = choose_ref(facts, None, request.reading(written))
    except NoVersion:
        origin = BuildRef(kind=RefKind.NONE, revision=facts.revision, now=facts.now)
    return bind(written, origin)


def to_read(asked: Candidates, tags: Iterable[str], *, others: bool = True) -> frozenset[str]:
    """Tell which of a repository's tags must be read, to learn the digests that the plan depends on.

    others: the newest lines of other versions too, whose drift a plan warns of.
    """
    present = frozenset(tags)
    spelled = exact_tags(asked.ruleset, present)
    own = {*asked.spellings, *(tag for version in asked.versions for tag in spelled.get(version, ()))}
    marked = {tag for tags in spelled.values() for tag in tags if MARKER + tag in present}
    needed = asked.tags | own | marked | {MARKER + tag for tag in own | marked}
    return frozenset((needed | _of_lines(asked, spelled, present, others=others)) & present)


def _of_lines(
    asked: Candidates, spelled: dict[Version, tuple[str, ...]], present: frozenset[str], *, others: bool
) -> set[str]:
    """Read the newest lines and the exact tags that they belong to, with yanked versions and without them."""
    marked = {version for version, tags in spelled.items() if any(MARKER + tag in present for tag in tags)}
    needed: set[str] = set()
    for versions in (spelled.keys(), spelled.keys() - marked) if marked else (spelled.keys(),):
        owners = desired(asked.ruleset, versions)
        newest = sorted(owners, key=owners.__getitem__, reverse=True)[: MOST_LINES if others else 0]
        for tag in {*newest, *(asked.tags & owners.keys())}:
            needed |= {tag, spelled[owners[tag]][0]}
    return needed
