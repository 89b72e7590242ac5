"""The decision about one tag: what happens to it, and why, in a sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from publisher.model.plan import Action, Kind, Move
from publisher.planning.lines import exact_tags
from publisher.planning.origin import RefKind
from publisher.planning.rules import RuleType

if TYPE_CHECKING:
    from publisher.model.digest import Digest
    from publisher.model.image_name import ImageName
    from publisher.planning.candidates import Candidates
    from publisher.planning.naming import Name
    from publisher.planning.scene import Scene
    from publisher.planning.version import Version


def decide(scene: Scene, name: Name) -> Move:
    """Decide about one tag of a repository that was looked at."""
    match name.kind:
        case Kind.EXACT:
            return _exact(scene, name)
        case Kind.FLOATING:
            return _floating(scene, name)
        case Kind.REF:
            return _ref(scene, name)


def decide_unseen(asked: Candidates, image: ImageName, name: Name, after: Digest | None) -> Move:
    """Decide about one tag of a repository that was not asked: it is as good as empty."""
    reason = f"{_subject(asked, name)}; what the registry holds was not looked at"
    return _move(image, name, Action.CREATE, name.version, after=after, reason=reason)


def _exact(scene: Scene, name: Name) -> Move:
    held = scene.spelled.get(name.tag)
    elsewhere = _conflict(scene, name)
    if elsewhere and not scene.asked.force:
        reason = f"{elsewhere} is the same version and holds another image; a published version never changes"
        return _of(scene, name, Action.REFUSE, held, reason)
    if held is None:
        return _of(scene, name, Action.CREATE, None, _why_new(scene, name))
    if not scene.is_other(held):
        return _of(scene, name, Action.UNCHANGED, held, _why_same(scene, name))
    if scene.asked.force:
        return _of(scene, name, Action.MOVE, held, f"{name.tag} holds another image, and --force overwrites it")
    reason = f"{name.tag} already holds another image; a published version never changes unless --force is given"
    return _of(scene, name, Action.REFUSE, held, reason)


def _conflict(scene: Scene, name: Name) -> str | None:
    """Another spelling of the version that holds another image, if there is one."""
    for tag, held in scene.spelled.items():
        differs = scene.content is None and held != scene.spelled.get(name.tag, held)
        if tag != name.tag and (scene.is_other(held) or differs):
            return tag
    return None


def _why_new(scene: Scene, name: Name) -> str:
    other = next(iter(scene.spelled), None)
    if other and not scene.is_other(scene.spelled[other]):
        return f"{other} is the same version and holds this image; {name.tag} gets the same bytes"
    return f"version {name.version} is not published here yet"


def _why_same(scene: Scene, name: Name) -> str:
    if scene.content is None:
        return f"{name.tag} is published already, and stays as it is: only the same image can be released again"
    return f"{name.tag} already holds this image, and the manifest that is there is used"


def _floating(scene: Scene, name: Name) -> Move:
    held = scene.state.held.get(name.tag)
    owner = scene.owners.get(name.tag)
    if name.version is None and owner is None:
        return _written(scene, name, held, f"no stable version is published that {name.tag} could belong to")
    if owner is None or owner != name.version:
        return _kept(scene, name, held, owner)
    if held is not None and held == scene.after:
        return _of(scene, name, Action.UNCHANGED, held, f"{name.tag} already points to {owner}, its newest version")
    return _written(scene, name, held, _why_newest(scene, name))


def _why_newest(scene: Scene, name: Name) -> str:
    before = scene.previous.get(name.tag)
    if before is None:
        return f"{name.version} is the first version that {name.tag} can point to"
    return f"{name.version} is newer than {before}, the newest version that {name.tag} could point to before"


def _kept(scene: Scene, name: Name, held: Digest | None, owner: Version | None) -> Move:
    if owner is None:
        reason = f"{name.version} is yanked and no other version is left for {name.tag}; it stays where it is"
    elif name.version is None:
        reason = f"{name.tag} belongs to {owner}, the newest published version; a build without a version leaves it"
    elif scene.yanked:
        reason = f"{name.version} is yanked, so {name.tag} stays with {owner}"
    else:
        reason = f"{owner} is newer than {name.version}, so {name.tag} stays with it"
    return _move(scene.image, name, Action.KEEP, owner, before=held, after=held, reason=reason)


def _ref(scene: Scene, name: Name) -> Move:
    held = scene.state.held.get(name.tag)
    if held is None or not _holds(scene, held):
        return _written_ref(scene, name, held)
    return _of(scene, name, Action.UNCHANGED, held, f"{name.tag} already holds this image")


def _written_ref(scene: Scene, name: Name, held: Digest | None) -> Move:
    subject = _subject(scene.asked, name)
    is_version = bool(exact_tags(scene.asked.ruleset, (name.tag,)))
    if held is None or not is_version or scene.asked.force:
        return _written(scene, name, held, subject)
    return _of(scene, name, Action.REFUSE, held, f"{subject}, but it is a published version's tag, which never changes")


def _holds(scene: Scene, held: Digest) -> bool:
    """A source with a manifest of its own passes byte for byte; another one is content with the same image."""
    if held == scene.after:
        return True
    return scene.content is not None and scene.content.digest is None and scene.content.is_image(held)


def _subject(asked: Candidates, name: Name) -> str:
    """What the tag stands for."""
    if name.kind is Kind.EXACT:
        return f"{name.tag} names version {name.version}"
    if name.kind is Kind.FLOATING:
        return f"{name.tag} points to the newest version, which {name.version} may be"
    if name.rule and name.rule.type is RuleType.SHA:
        return f"{name.tag} names the commit that is built"
    if name.rule is None or name.rule.type is not RuleType.REF:
        return f"{name.tag} is written as the rule '{name.rule}' asks" if name.rule else f"{name.tag} is asked for"
    kind = "pull request" if asked.origin.kind is RefKind.PULL else asked.origin.kind
    return f"{name.tag} follows the {kind} {asked.origin.name}"


def _written(scene: Scene, name: Name, held: Digest | None, reason: str) -> Move:
    return _of(scene, name, Action.CREATE if held is None else Action.MOVE, held, reason)


def _of(scene: Scene, name: Name, action: Action, held: Digest | None, reason: str) -> Move:
    after = held if action is Action.UNCHANGED else scene.after
    return _move(scene.image, name, action, name.version, before=held, after=after, reason=reason)


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
        reference=str(image.repository.tag(name.tag)),
        tag=str(name.tag),
        kind=name.kind,
        version=None if version is None else str(version),
        action=action,
        before=None if before is None else str(before),
        after=None if after is None else str(after),
        reason=reason,
    )
