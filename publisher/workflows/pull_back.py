"""Verify what was pushed by the engine's own pull of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from publisher.model import media
from publisher.model.errors import PublishError, SourceNotFound, Unreachable, VerificationFailed
from publisher.model.manifest import Index, Manifest
from publisher.transfer.assemble import fits
from publisher.transfer.identity import platform_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from publisher.model.manifest import Content, Platform
    from publisher.registry.repository import RemoteRepository
    from publisher.workflows.session import Session


def pull_back(session: Session, remote: RemoteRepository, manifests: Sequence[Content]) -> str | None:
    """Pull an image by digest and compare its id; needs an engine that reaches the registry.

    manifests: its own, the root first. An image without the engine's platform is pulled by the platform of one of its
    entries. Returns what came: "none", "manifest" or "layers"; None, with a warning, where the image is none that the
    engine can hold. Raises VerificationFailed where another image came.
    """
    repository, root = remote.repository, manifests[0]
    name = f"{session.engine_name(repository)}@{root.digest}"
    platform = _platform_for(root, session.engine.platform)
    try:
        pulled = session.engine.pull(name, session.engine_credential(repository), platform)
    except (SourceNotFound, Unreachable) as error:
        if _runs_here(session, remote, root):
            raise
        session.progress.warn(f"verified by digest only, since the engine can't pull {name}: {error.message}")
        return None
    ours = {str(content.digest) for content in manifests}
    ours |= {str(content.config.digest) for content in manifests if isinstance(content, Manifest)}
    if pulled.id not in ours:
        raise VerificationFailed(f"the engine pulled {pulled.id} for {name}", reference=name)
    return pulled.downloaded


def _platform_for(root: Content, own: Platform) -> Platform | None:
    """What to ask the engine for; None for its own platform, and where no other is stated."""
    stated = [entry.platform for entry in root.images if entry.platform] if isinstance(root, Index) else []
    if any(fits(platform, own) for platform in stated):
        return None
    return next((platform for platform in stated if platform.os == own.os), stated[0] if stated else None)


def _runs_here(session: Session, remote: RemoteRepository, root: Content) -> bool:
    """Whether the engine should be able to hold the image: an artifact, or one for other machines only, needn't fit."""
    own = session.engine.platform
    if isinstance(root, Index):
        return any(entry.platform and fits(entry.platform, own) for entry in root.images)
    if root.config.media_type not in {media.OCI_CONFIG, media.DOCKER_CONFIG}:
        return False
    try:
        return fits(platform_of(root, remote.open_blob), own)
    except PublishError:
        return True
