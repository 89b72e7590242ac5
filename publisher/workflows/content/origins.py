"""Where an image was pulled from: what an engine or an archive lacks of it may be there."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO, Final

from publisher.model.errors import BadReference, PublishError, Refused
from publisher.model.manifest import Content, Index, compose_index
from publisher.model.reference import Reference, Repository
from publisher.transfer.assemble import pick_platforms

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from publisher.archives.oci_layout import OciLayout
    from publisher.model.digest import Digest
    from publisher.model.manifest import Descriptor, Platform
    from publisher.workflows.session import Session

_SOURCE: Final = "containerd.io/distribution.source."
"""How containerd notes, with a digest, the repositories of a host that it got it from; parted by commas."""


class Origins:
    """The repositories that may hold the whole of an image.

    named: the image, for messages. root: its digest. A repository that can't be read has nothing; why is remembered.
    """

    def __init__(self, session: Session, named: object, root: Digest, repositories: Iterable[Repository] = ()) -> None:
        self._session = session
        self._named = named
        self._root = root
        self.repositories = list(dict.fromkeys(repositories))
        self._problem: PublishError | None = None

    def add(self, annotations: Mapping[str, str]) -> None:
        """Take what containerd notes with an image."""
        for key, value in annotations.items():
            if key.startswith(_SOURCE):
                names = (f"{key.removeprefix(_SOURCE)}/{name}" for name in value.split(",") if name)
                self.repositories = list(dict.fromkeys((*_repositories(names), *self.repositories)))

    def find(self, digest: Digest) -> Content | None:
        """A manifest, from the first repository that has it."""
        for repository in self.repositories:
            try:
                content = self._session.remote(repository).find(digest)
            except PublishError as error:
                self._problem = error
                continue
            if content is not None:
                return content
        return None

    def open_blob(self, blob: Descriptor) -> AbstractContextManager[BinaryIO]:
        """A blob's bytes; raises Refused where no repository has them."""
        for repository in self.repositories:
            remote = self._session.remote(repository)
            try:
                if remote.blob_size(blob.digest) == blob.size:
                    return remote.open_blob(blob)
            except PublishError as error:
                self._problem = error
        raise Refused(
            f"{self._named} lacks the blob {blob.digest} ({blob.size:,} bytes), and {self._elsewhere()}",
            reference=self._named,
            hint=f"release it from where it is whole, as in docker://{self._whole()}",
        )

    def near(self, registry: str) -> tuple[Repository, ...]:
        """Those of one registry: blobs can be mounted from there."""
        return tuple(one for one in self.repositories if one.registry == registry)

    def refusal(self, index: Index, missing: Sequence[Descriptor]) -> Refused:
        """Why an image of which manifests are missing can't be released, and what can."""
        held = [str(entry.platform) for entry in index.images if entry.platform and entry not in missing]
        lost = ", ".join(_title(index, entry) for entry in missing)
        alone = f"; --platform {held[0]} releases that alone" if held else ""
        return Refused(
            f"{self._named} is not whole: it lacks {lost} of {index.digest}, and {self._elsewhere()}",
            reference=self._named,
            hint=f"release all of it from its registry, docker://{self._whole()}{alone}",
        )

    def _elsewhere(self) -> str:
        if not self.repositories:
            return "it isn't known where it was pulled from"
        asked = ", ".join(repository.familiar for repository in self.repositories)
        return f"{asked} could not be read: {self._problem.message}" if self._problem else f"{asked} lacks it too"

    def _whole(self) -> str:
        return f"{self.repositories[0].familiar if self.repositories else 'REPOSITORY'}@{self._root}"


def _title(index: Index, entry: Descriptor) -> str:
    if not entry.is_attestation:
        return str(entry.platform or entry.digest)
    about = entry.attestation_subject
    named = next((other.platform for other in index.images if str(other.digest) == about), None)
    return f"the attestation of {named}" if named else f"the attestation {entry.digest}"


def _repositories(names: Iterable[str]) -> list[Repository]:
    """Those of the names that are any."""
    found = []
    for name in names:
        try:
            found.append(Reference.parse(name).repository)
        except BadReference:
            continue  # "<none>@<none>", as engines name what lost its name
    return found


def pulled_from(repo_digests: Iterable[str], root: Digest) -> list[Repository]:
    """The repositories that an engine knows an image from by its digest; a containerd store counts its own names in."""
    return _repositories(text for text in repo_digests if text.endswith(f"@{root}"))


def complete(
    root: Content,
    find: Callable[[Descriptor], Content | None],
    origins: Origins,
    platforms: Sequence[Platform],
    warn: Callable[[str], None],
) -> Content:
    """`root`, or what it has for `platforms`, once all manifests below it are known to be had; raises Refused.

    find: a manifest that the root lists, None where it can't be had. An attestation that is lost with the platforms
    that were not asked for is told.
    """
    if not isinstance(root, Index):
        return root
    wanted = pick_platforms(root, platforms) if platforms else root.manifests
    missing = [entry for entry in wanted if find(entry) is None]
    lost = [entry for entry in missing if entry.is_attestation] if platforms else []
    if len(missing) > len(lost):
        raise origins.refusal(root, missing)
    for entry in lost:
        warn(f"{_title(root, entry)} can't be had and is left out")
    for entry in wanted:
        child = find(entry)
        if isinstance(child, Index):
            complete(child, find, origins, (), warn)
    return _narrowed(root, [entry for entry in wanted if entry not in lost], find)


def _narrowed(root: Index, wanted: Sequence[Descriptor], find: Callable[[Descriptor], Content | None]) -> Content:
    if len(wanted) == len(root.manifests):
        return root
    alone = find(wanted[0]) if len(wanted) == 1 else None
    return alone or compose_index(tuple(wanted), dict(root.annotations))


class ArchivedImage:
    """An image of an archive, of which not all need be there: a model.protocols.StoredImage."""

    def __init__(self, layout: OciLayout, origins: Origins) -> None:
        self._layout = layout
        self._origins = origins
        self._origins.add(layout.annotations)

    def root(self) -> Content:
        """The manifest or index that was chosen."""
        return self._layout.root()

    def find(self, descriptor: Descriptor) -> Content | None:
        """A manifest, wherever it is."""
        if self._layout.holds(descriptor):
            return self._layout.manifest(descriptor)
        return self._origins.find(descriptor.digest)

    def manifest(self, descriptor: Descriptor) -> Content:
        """A manifest that the root lists."""
        return self.find(descriptor) or self._layout.manifest(descriptor)

    def open_blob(self, descriptor: Descriptor) -> AbstractContextManager[BinaryIO]:
        """A stream of a blob's bytes."""
        if self._layout.holds(descriptor) or not self._origins.repositories:
            return self._layout.open_blob(descriptor)
        return self._origins.open_blob(descriptor)
