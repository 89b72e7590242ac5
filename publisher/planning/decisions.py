"""The decision about one tag: what happens to it, and why, in a sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from publisher.model.plan import Action, Kind, Move
from publisher.model.value import Value
from publisher.planning.build_ref import RefKind
from publisher.planning.flavor import Latest
from publisher.planning.lines import as_spelled, contested, desired, eligible, published_versions
from publisher.planning.rules import MARKER, RuleType
from publisher.planning.tag_reader import tag_reader

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from publisher.model.digest import Digest
    from publisher.model.image_name import ImageName
    from publisher.planning.candidates import Candidates
    from publisher.planning.lines import Published, PublishedVersion
    from publisher.planning.names import Name
    from publisher.planning.version import Version


class ReleasedContent(Value, frozen=True):
    """The content that is released, as far as it is known.

    digest: of its manifest, None before there is one. same: digests in registries that are the same image.
    """

    digest: Digest | None = None
    same: frozenset[Digest] = msgspec.field(default_factory=frozenset)

    def is_image(self, held: Digest) -> bool:
        """Whether what a registry holds is this image."""
        return held == self.digest or held in self.same


class RepositoryState(Value, frozen=True):
    """What decides about one repository.

    here: the versions that are published. spelled: the release's exact names that are there, with what they hold.
    after: what everything that is written gets, None while unknown. yanked: whether the release itself stays yanked.
    owners: which version each floating tag belongs to once the release is there; previous: without it.
    contested: floating tags that no reading of the tags decides, with the tags that can be read in several ways.
    """

    asked: Candidates
    image: ImageName
    state: Published
    content: ReleasedContent | None
    here: Mapping[Version, PublishedVersion]
    spelled: Mapping[str, Digest]
    after: Digest | None
    yanked: bool
    owners: Mapping[str, Version]
    previous: Mapping[str, Version]
    contested: Mapping[str, tuple[str, ...]]

    def is_other(self, held: Digest) -> bool:
        """Whether it is known to be another image than the one that is released."""
        return self.content is not None and not self.content.is_image(held)


def assess(
    asked: Candidates, image: ImageName, state: Published, content: ReleasedContent | None, adopted: Digest | None
) -> RepositoryState:
    """Put together what is known about one repository.

    adopted: the manifest that some repository already has for the release.
    """
    here = published_versions(asked.ruleset, state)
    after = held_already(asked, state, content) or adopted or (content.digest if content else None)
    yanked = _stays_yanked(asked, state, content, after)
    previous = as_spelled(desired(asked.ruleset, eligible(here).difference(asked.versions)), asked.tags)
    released = set() if yanked else set(asked.published)
    # Only a version that owns a line already can be in the release's way.
    owners = as_spelled(desired(asked.ruleset, released.union(previous.values())), asked.tags)
    owners |= _asked_for(asked, previous, yanked=yanked)
    owners |= _own_lines(asked, released, owners)
    return RepositoryState(
        asked=asked,
        image=image,
        state=state,
        content=content,
        here=here,
        spelled=asked.spelled(state),
        after=after,
        yanked=yanked,
        owners=owners,
        previous=previous,
        contested=_contested(asked, state, owners),
    )


def _own_lines(asked: Candidates, released: Collection[Version], owners: Mapping[str, Version]) -> dict[str, Version]:
    """The release's floating tags as its rules wrote them just now: 2026.02 keeps a zero that PEP 440 drops."""
    named = [(str(name.tag), name.version) for name in asked.of_kind(Kind.FLOATING)]
    final = [(tag, version) for tag, version in named if version in released and version and not version.is_prerelease]
    return {tag: version for tag, version in final if tag not in owners or version > owners[tag]}


def _contested(asked: Candidates, state: Published, owners: Mapping[str, Version]) -> dict[str, tuple[str, ...]]:
    """The floating tags that would come to the release, but for another reading of a tag that is not its own."""
    others = replace(state, tags=state.tags.difference(asked.tags, asked.spellings, asked.spelled(state)))
    claims = contested(asked.ruleset, others, owners)
    return {claim.tag: claim.readable_as for claim in claims if owners.get(claim.tag, None) in {*asked.versions, None}}


def _asked_for(asked: Candidates, previous: Mapping[str, Version], *, yanked: bool) -> dict[str, Version]:
    """The floating tags that the user wants even for a prerelease: `latest=true`; never backwards."""
    if asked.ruleset.flavor.latest is not Latest.TRUE:
        return {}
    latest = (name for name in asked.of_kind(Kind.FLOATING) if name.rule is None)
    named = (name for name in latest if name.version and name.version.is_prerelease)
    wanted = {str(name.tag): name.version for name in named if name.version and not yanked}
    return {tag: version for tag, version in wanted.items() if tag not in previous or version > previous[tag]}


def held_already(asked: Candidates, state: Published, content: ReleasedContent | None) -> Digest | None:
    """Find the manifest that a repository has for the release: the same image, so its bytes are taken as they are.

    An exact tag's counts even when the content is unknown: a release goes on only if it is the same image.
    A branch's tag counts only if it is known to hold the image, and the source brings no manifest of its own.
    """
    if asked.release:
        found = [held for held in asked.spelled(state).values() if content is None or content.is_image(held)]
    elif content and content.digest is None:
        refs = (state.held.get(name.tag) for name in asked.of_kind(Kind.REF))
        found = [held for held in refs if held and content.is_image(held)]
    else:
        found = []
    return found[0] if found else None


def _stays_yanked(asked: Candidates, state: Published, content: ReleasedContent | None, after: Digest | None) -> bool:
    """Whether a marker points at what the release's exact tags will hold; other content lifts a yank."""
    names = (*asked.spellings, *asked.spelled(state))
    marked = {held for tag in names if (held := state.held.get(MARKER + tag))}
    return any(held == after or (content is not None and content.is_image(held)) for held in marked)


def decide(repository: RepositoryState, name: Name) -> Move:
    """Decide about one tag of a repository that was looked at."""
    match name.kind:
        case Kind.EXACT:
            return _exact(repository, name)
        case Kind.FLOATING:
            return _floating(repository, name)
        case Kind.REF:
            return _ref(repository, name)


def decide_unseen(asked: Candidates, image: ImageName, name: Name, after: Digest | None) -> Move:
    """Decide about one tag of a repository that was not asked: it is as good as empty."""
    reason = f"{_subject(asked, name)}; what the registry holds was not looked at"
    return _move(image, name, Action.CREATE, name.version, after=after, reason=reason)


def _exact(repository: RepositoryState, name: Name) -> Move:
    held = repository.state.held.get(name.tag)
    if name.clash and held is None:
        return _of(repository, name, Action.REFUSE, held, name.clash)
    elsewhere = _conflict(repository, name)
    if elsewhere and not repository.asked.force:
        reason = f"{elsewhere} is the same version and holds another image; a published version never changes"
        return _of(repository, name, Action.REFUSE, held, reason)
    if held is None:
        return _of(repository, name, Action.CREATE, None, _why_new(repository, name))
    if not repository.is_other(held):
        return _of(repository, name, Action.UNCHANGED, held, _why_same(repository, name))
    if repository.asked.force:
        return _of(repository, name, Action.MOVE, held, f"{name.tag} holds another image, and --force overwrites it")
    reason = f"{name.tag} already holds another image; a published version never changes unless --force is given"
    return _of(repository, name, Action.REFUSE, held, f"{reason}{_dropped(repository, name)}")


def _dropped(repository: RepositoryState, name: Name) -> str:
    """That two git tags which differ in their build metadata alone get one name."""
    built, plus, build = repository.asked.origin.name.partition("+")
    if not plus or name.version is None or name.version.build:
        return ""
    return f"; {{{{version}}}} leaves '+{build}' out, so {built}+{build} is written as {name.tag}: {{{{raw}}}} keeps it"


def _conflict(repository: RepositoryState, name: Name) -> str | None:
    """Another spelling of the version that holds another image, if there is one."""
    if name.version is None:
        return None
    for tag, held in repository.spelled.items():
        differs = repository.content is None and held != repository.spelled.get(name.tag, held)
        if tag != name.tag and (repository.is_other(held) or differs):
            return tag
    return None


def _why_new(repository: RepositoryState, name: Name) -> str:
    other = next(iter(repository.spelled), None)
    if other and not repository.is_other(repository.spelled[other]):
        return f"{other} is the same version and holds this image; {name.tag} gets the same bytes"
    if name.version is None:
        return f"{name.tag} is not there yet"
    return f"version {name.version} is not published here yet"


def _why_same(repository: RepositoryState, name: Name) -> str:
    if repository.content is None:
        return f"{name.tag} is published already, and stays as it is: only the same image can be released again"
    return f"{name.tag} already holds this image, and the manifest that is there is used"


def _floating(repository: RepositoryState, name: Name) -> Move:
    held = repository.state.held.get(name.tag)
    owner = repository.owners.get(name.tag)
    if held is not None and str(name.tag) in repository.contested:
        return _of(repository, name, Action.KEEP, held, _why_contested(repository, name), after=held)
    if name.version is None and owner is None:
        return _written(repository, name, held, f"no stable version is published that {name.tag} could belong to")
    if owner is None or owner != name.version:
        return _kept(repository, name, held, owner)
    if held is not None and held == repository.after:
        return _of(
            repository, name, Action.UNCHANGED, held, f"{name.tag} already points to {owner}, its newest version"
        )
    return _written(repository, name, held, _why_newest(repository, name))


def _why_contested(repository: RepositoryState, name: Name) -> str:
    tags = repository.contested[str(name.tag)]
    return f"{tags[0]} may be newer than {name.version or 'what is built'}, and its image doesn't say: {name.tag} stays"


def _why_newest(repository: RepositoryState, name: Name) -> str:
    before = repository.previous.get(name.tag)
    if before is None:
        return f"{name.version} is the first version that {name.tag} can point to"
    return f"{name.version} is newer than {before}, the newest version that {name.tag} could point to before"


def _kept(repository: RepositoryState, name: Name, held: Digest | None, owner: Version | None) -> Move:
    if owner is None and name.version and name.version.is_prerelease:
        reason = f"{name.version} is a prerelease, which takes no floating tag; {name.tag} stays as it is"
    elif owner is None and not repository.yanked:
        reason = f"no rule gives {name.version} a tag of its own, so {name.tag} can't follow it"
    elif owner is None:
        reason = f"{name.version} is yanked and no other version is left for {name.tag}; it stays where it is"
    elif name.version and name.version.is_prerelease:
        reason = f"{name.version} is a prerelease, which takes no floating tag, so {name.tag} stays with {owner}"
    elif name.version is None:
        reason = f"{name.tag} belongs to {owner}, the newest published version; a build without a version leaves it"
    elif name.version not in repository.asked.published:
        reason = f"no rule gives {name.version} a tag of its own, so {name.tag} stays with {owner}"
    elif repository.yanked:
        reason = f"{name.version} is yanked, so {name.tag} stays with {owner}"
    else:
        reason = f"{owner} is newer than {name.version}, so {name.tag} stays with it"
    return _move(repository.image, name, Action.KEEP, owner, before=held, after=held, reason=reason)


def _ref(repository: RepositoryState, name: Name) -> Move:
    held = repository.state.held.get(name.tag)
    if held is None or not _holds(repository, held):
        return _written_ref(repository, name, held)
    return _of(repository, name, Action.UNCHANGED, held, f"{name.tag} already holds this image")


def _written_ref(repository: RepositoryState, name: Name, held: Digest | None) -> Move:
    subject = _subject(repository.asked, name)
    is_version = bool(tag_reader(repository.asked.ruleset).versions(name.tag))
    if held is None or not is_version or repository.asked.force:
        return _written(repository, name, held, subject)
    return _of(
        repository, name, Action.REFUSE, held, f"{subject}, but it is a published version's tag, which never changes"
    )


def _holds(repository: RepositoryState, held: Digest) -> bool:
    """A source with a manifest of its own passes byte for byte; another one is content with the same image."""
    if held == repository.after:
        return True
    return repository.content is not None and repository.content.digest is None and repository.content.is_image(held)


def _subject(asked: Candidates, name: Name) -> str:
    """What the tag stands for."""
    if name.kind is Kind.EXACT:
        return f"{name.tag} names version {name.version}" if name.version else f"{name.tag} names this build"
    if name.kind is Kind.FLOATING:
        if name.version is None:
            return f"{name.tag} goes with what the rules give"
        return f"{name.tag} points to the newest version, which {name.version} may be"
    if name.rule and name.rule.type is RuleType.SHA:
        return f"{name.tag} names the commit that is built"
    if name.rule is None or name.rule.type is not RuleType.REF:
        return f"{name.tag} is written as the rule '{name.rule}' asks" if name.rule else f"{name.tag} is asked for"
    kind = "pull request" if asked.origin.kind is RefKind.PULL else asked.origin.kind
    return f"{name.tag} follows the {kind} {asked.origin.name}"


def _written(repository: RepositoryState, name: Name, held: Digest | None, reason: str) -> Move:
    return _of(repository, name, Action.CREATE if held is None else Action.MOVE, held, reason)


def _of(
    repository: RepositoryState,
    name: Name,
    action: Action,
    held: Digest | None,
    reason: str,
    *,
    after: Digest | None = None,
) -> Move:
    after = after or (held if action is Action.UNCHANGED else repository.after)
    return _move(repository.image, name, action, name.version, before=held, after=after, reason=reason)


def _move(
    image: ImageName,
    name: Name,
    action: Action,
    version: Version | None,
    *,
    before: Digest | None = None,
    after: Digest | None,
    reason: str,
) -> Move:
    return Move(
        reference=image.repository.tag(name.tag),
        tag=str(name.tag),
        kind=name.kind,
        version=None if version is None else str(version),
        action=action,
        before=before,
        after=after,
        reason=reason,
    )
