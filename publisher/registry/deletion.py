"""Take one tag away, and no other with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from publisher.model import media
from publisher.model.errors import Refused, VerificationFailed
from publisher.model.manifest import Index
from publisher.model.reference import Tag

if TYPE_CHECKING:
    from publisher.model.digest import Digest
    from publisher.registry.repository import RemoteRepository


def delete_tag(remote: RemoteRepository, tag: Tag) -> bool:
    """Delete one tag; False if it wasn't there. Raises Refused where other tags or an index would go along.

    By the tag's name where the registry can do that; else by digest, which takes every tag of it along, and so only
    where no other tag and no index holds it.
    """
    held = remote.head(tag)
    if held is None:
        return False
    try:
        remote.delete(tag)
    except Refused as refusal:
        _only_holder(remote, tag, held.digest, refusal)
        remote.delete(held.digest)
    if remote.head(tag) is not None:
        raise VerificationFailed(f"{remote.repository}:{tag} is still there after it was deleted")
    return True


def _only_holder(remote: RemoteRepository, tag: Tag, digest: Digest, refusal: Refused) -> None:
    """Raise Refused where the digest is held by anything else than `tag`."""
    for name in remote.tags():
        if name == tag or (found := remote.head(Tag(name))) is None:
            continue
        if found.digest == digest:
            raise _too_much(remote, tag, f"the tag {name} holds the same content", refusal)
        content = remote.get(found.digest) if found.media_type in media.INDEXES else None
        if isinstance(content, Index) and any(entry.digest == digest for entry in content.manifests):
            raise _too_much(remote, tag, f"the index under {name} holds it too", refusal)


def _too_much(remote: RemoteRepository, tag: Tag, why: str, refusal: Refused) -> Refused:
    return Refused(
        f"{remote.repository}:{tag} can't be deleted alone: the registry deletes by digest only, and {why}",
        reference=f"{remote.repository}:{tag}",
        hint=refusal.hint,
    )
