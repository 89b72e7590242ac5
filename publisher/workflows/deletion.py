"""Take one tag away, on whatever registry."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from publisher.model.errors import VerificationFailed
from publisher.registry.deletion import delete_tag as delete_at_registry

if TYPE_CHECKING:
    from publisher.model.reference import Repository, Tag
    from publisher.workflows.session import Session

# Docker Hub's registry may show a tag a little longer than its API.
_WAITS: Final = (0.0, 0.2, 0.5, 1.0, 2.0, 4.0)


def delete_tag(session: Session, repository: Repository, tag: Tag) -> bool:
    """Delete one tag and no other; False if it wasn't there.

    On Docker Hub by its API, as its registry deletes by digest only. Raises Refused where other tags would go along.
    """
    remote = session.remote(repository)
    # What the API doesn't know, and the registry may: only the registry's answer counts.
    if not repository.on_hub or not session.hub(repository).delete_tag(tag):
        return delete_at_registry(remote, tag)
    for seconds in _WAITS:
        time.sleep(seconds)
        if remote.head(tag) is None:
            return True
    raise VerificationFailed(f"{repository}:{tag} is still there after Docker Hub deleted it")
