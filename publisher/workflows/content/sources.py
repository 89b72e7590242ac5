"""Where the image of a release comes from, and whether a registry has it already."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from publisher.archives.source import SourceName, Transport
from publisher.model.errors import ConfigError, Refused, UsageError
from publisher.model.manifest import Index, Manifest
from publisher.model.plan import Kind
from publisher.model.protocols import StoredImage
from publisher.model.reference import Reference
from publisher.model.value import Value
from publisher.transfer.identity import Identity, identity, platform_of, single

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from publisher.engine.image import EngineImage
    from publisher.model.digest import Digest
    from publisher.model.manifest import Content, Platform
    from publisher.model.protocols import ImageSource
    from publisher.model.reference import Repository
    from publisher.planning.candidates import Candidates
    from publisher.planning.lines import Published
    from publisher.planning.plan import ReleasedContent
    from publisher.registry.repository import RemoteRepository
    from publisher.workflows.destination import Destination
    from publisher.workflows.session import Session


class Source(Value, frozen=True):
    """An image that was found: what it is, as far as that is known without reading its layers.

    root: its manifest or index, None for an engine's image, which has none yet. labels: of an engine's image.
    held: an engine's image of the classic store, as the engine describes it.
    """

    name: SourceName
    image: ImageSource
    root: Content | None
    identity: Identity
    labels: Mapping[str, str]
    held: EngineImage | None = None

    @property
    def platform(self) -> Platform:
        """What a single image runs on, as its config says."""
        if not isinstance(self.image, StoredImage):
            return self.image.platform
        if not isinstance(self.root, Manifest):
            raise UsageError(f"{self.name} is an index and has no platform of its own")
        return platform_of(self.root, self.image.open_blob)


def find_source(session: Session, text: str) -> Source:
    """Look a source up; raises SourceNotFound, BadReference or UsageError."""
    name = SourceName.parse(text)
    if name.transport is Transport.DAEMON:
        return _of_engine(session, name)
    if name.transport is Transport.DOCKER_ARCHIVE:
        return _of_docker_archive(session, name)
    return _of_stored(name, _stored(session, name))


def _of_docker_archive(session: Session, name: SourceName) -> Source:
    from publisher.archives.docker_archive import SavedImageFile
    from publisher.archives.engine_export import open_saved_archive

    archive = open_saved_archive(_path(session, name), name.tag)
    if isinstance(archive, SavedImageFile):
        return Source(name, archive, None, single(str(archive.config_digest)), {})
    return _of_stored(name, archive)


def _of_stored(name: SourceName, stored: StoredImage, labels: Mapping[str, str] | None = None) -> Source:
    root = stored.root()
    return Source(name, stored, root, identity(root, stored.manifest), labels or {})


def _path(session: Session, name: SourceName) -> Path:
    return session.directory / Path(name.rest).expanduser()


def _stored(session: Session, name: SourceName) -> StoredImage:
    if name.transport is Transport.REGISTRY:
        from publisher.registry.image import RemoteImage

        reference = Reference.parse(name.rest)
        return RemoteImage(session.remote(reference.repository), reference)
    from publisher.archives.oci_layout import open_oci_archive, open_oci_layout

    opened = open_oci_layout if name.transport is Transport.OCI else open_oci_archive
    return opened(_path(session, name), name.tag)


def _of_engine(session: Session, name: SourceName) -> Source:
    from publisher.archives.docker_archive import DockerArchive
    from publisher.archives.engine_export import open_engine_layout

    engine = session.engine
    found = engine.need(name.rest)
    if found.config is None:
        return _of_stored(name, open_engine_layout(lambda: engine.open_export(name.rest)), found.labels)
    # By id: the name may be moved to another image while we work.
    export = DockerArchive(lambda: engine.open_export(found.id), found.config, found.diff_ids, found.platform)
    return Source(name, export, None, single(str(found.config)), found.labels, found)


def find_known(
    sources: Sequence[Source],
    candidates: Candidates,
    destinations: Iterable[Destination],
    published: Mapping[Repository, Published],
) -> ReleasedContent | None:
    """What is known of the content: its digest where one source has a manifest, and who holds the same image."""
    from publisher.planning.plan import ReleasedContent

    if not sources:
        return None
    root = sources[0].root if len(sources) == 1 else None
    digest = root.digest if root else None
    wanted = sources[0].identity if len(sources) == 1 else _joined(sources)
    same = {
        held
        for destination in destinations
        for held in _decisive(candidates, published[destination.repository])
        if held != digest and _is_same(destination.remote, held, wanted)
    }
    return ReleasedContent(digest, frozenset(same))


def _joined(sources: Sequence[Source]) -> Identity:
    """What the index of several sources will be."""
    parts = (
        source.identity if isinstance(source.root, Index) else {(str(source.platform), config)}
        for source in sources
        for _platform, config in source.identity
    )
    return frozenset(pair for part in parts for pair in part)


def _decisive(candidates: Candidates, state: Published) -> Iterable[Digest]:
    """What the tags hold whose image decides: a floating tag's never does, and each look costs a pull on Docker Hub."""
    from publisher.planning.rules import MARKER

    names = [str(name.tag) for kind in (Kind.EXACT, Kind.REF) for name in candidates.of_kind(kind)]
    names += candidates.spellings
    return {state.held[tag] for name in names for tag in (name, MARKER + name) if tag in state.held}


def _is_same(remote: RemoteRepository, held: Digest, wanted: Identity) -> bool:
    content = remote.find(held)
    if content is None:
        return False
    if isinstance(content, Manifest):
        return single(str(content.config.digest)) == wanted
    loaded = {entry.digest: child for entry in content.images if (child := remote.find(entry.digest)) is not None}
    if len(loaded) < len(content.images):
        return False
    return identity(content, lambda entry: loaded[entry.digest]) == wanted


def check_revision(sources: Iterable[Source], revision: str | None, *, allow: bool) -> None:
    """Refuse an image that was built from another commit than the one that is released."""
    for source in sources:
        built = source.labels.get("org.opencontainers.image.revision")
        if built and revision and built != revision and not allow:
            raise Refused(
                f"{source.name} was built from commit {built[:12]}, and git's HEAD is {revision[:12]}",
                reference=source.name,
                hint="build it again, or pass --allow-dirty",
            )


def chosen_sources(arguments: Sequence[str], configured: str | None) -> tuple[str, ...]:
    """The sources' names: the arguments, else the configuration's; raises ConfigError where there is none."""
    if arguments:
        return tuple(arguments)
    if configured:
        return (configured,)
    raise ConfigError(
        "no image is named to release",
        hint="name one, as in 'publish release docker-daemon:app:dev', or set source in publish.toml",
    )
