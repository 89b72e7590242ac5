"""Where the image of a release comes from, and whether a registry has it already."""

from __future__ import annotations

import sys
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from publisher.archives.compressed import unpack
from publisher.archives.source import STDIN, SourceName, Transport, likely_source
from publisher.model.digest import Digest
from publisher.model.errors import ConfigError, EngineUnavailable, PublishError, Refused, SourceNotFound, UsageError
from publisher.model.manifest import Index, Manifest, Platform
from publisher.model.plan import Kind
from publisher.model.protocols import StoredImage
from publisher.model.reference import Reference
from publisher.transfer.assemble import fits, narrow
from publisher.transfer.identity import Identity, identity, platform_of, platform_reader, single
from publisher.workflows.content.store_image import StoreImage

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from contextlib import AbstractContextManager
    from typing import BinaryIO

    from publisher.engine.image import EngineImage
    from publisher.model.manifest import Content
    from publisher.model.protocols import ImageSource, LooseImage
    from publisher.model.reference import Repository
    from publisher.planning.candidates import Candidates
    from publisher.planning.lines import Published
    from publisher.planning.plan import ReleasedContent
    from publisher.registry.repository import RemoteRepository
    from publisher.workflows.destination import Destination
    from publisher.workflows.session import Session


class Source:
    """An image that was found: what it is, read no further than it is asked for.

    root: what is released of it, where that isn't the image's own root. labels: of an engine's image.
    held: an engine's image whose layers have no blobs yet, as the engine describes it.
    """

    def __init__(
        self,
        name: SourceName,
        image: ImageSource,
        *,
        root: Content | None = None,
        labels: Mapping[str, str] | None = None,
        held: EngineImage | None = None,
    ) -> None:
        self.name = name
        self.image = image
        self.labels = labels or {}
        self.held = held
        self.narrowed = root
        """What is released of it, where that isn't the image's own root."""
        self.is_recompressed = False
        """Whether its layers proved to be uncompressed while they were sent: the digest isn't what a plan foresaw."""
        self._root = root
        self._identity: Identity | None = None
        self._platform: Platform | None = None

    # Kept by hand: functools' cached_property of Python 3.11 has one lock for all images, and these ask registries.

    @property
    def root(self) -> Content | None:
        """Its manifest or index; None for a config and layers, which have none yet."""
        if self._root is None and isinstance(self.image, StoredImage):
            self._root = self.image.root()
        return self._root

    @property
    def digest(self) -> Digest | None:
        """Of its manifest or index, as far as it has one."""
        if self.narrowed is None and isinstance(self.image, StoreImage):
            return self.image.digest
        return self.root.digest if self.root else None

    @property
    def identity(self) -> Identity:
        """What makes it the same image as another."""
        if self._identity is None:
            self._identity = self._read_identity()
        return self._identity

    def _read_identity(self) -> Identity:
        if isinstance(self.image, StoredImage):
            assert self.root is not None  # noqa: S101 - as above
            return identity(self.root, self.image.manifest)
        return single(str(Digest.of(self.image.config) if self.held is None else self.held.config))

    @property
    def key(self) -> str:
        """The same for the same image, of what is known without reading it."""
        return str(self.digest) if isinstance(self.image, StoreImage) else str(sorted(self.identity))

    @property
    def platform(self) -> Platform:
        """What a single image runs on, as its config says."""
        if self._platform is None:
            self._platform = self._read_platform()
        return self._platform

    def read(self) -> None:
        """Ask for what will be asked of it, its manifest and its platform, so that both are at hand."""
        if isinstance(self.root, Manifest):
            _ = self.platform

    @property
    def registry_home(self) -> RemoteRepository | None:
        """The repository that holds all of it; None where it comes from elsewhere, or is to become another index."""
        from publisher.registry.image import RemoteImage

        is_whole = self.narrowed is None or isinstance(self.narrowed, Manifest)
        return self.image.remote if is_whole and isinstance(self.image, RemoteImage) else None

    def _read_platform(self) -> Platform:
        if not isinstance(self.image, StoredImage):
            return self.image.platform
        if not isinstance(self.root, Manifest):
            raise UsageError(f"{self.name} is an index and has no platform of its own")
        if isinstance(self.image, StoreImage):
            return self.image.platform_of(self.root)
        return platform_of(self.root, self.image.open_blob)


def is_remote(text: str) -> bool:
    """Whether a source is in a registry."""
    return SourceName.parse(text).transport is Transport.REGISTRY


def find_source(session: Session, text: str, platforms: Sequence[str] = ()) -> Source:
    """Look a source up; raises SourceNotFound, BadReference, UsageError, or Refused for what isn't whole.

    platforms: those of its platforms that are meant; all where there are none.
    """
    return settle_source(session, begin_source(session, text, platforms), platforms)


def settle_source(session: Session, source: Source, platforms: Sequence[str] = ()) -> Source:
    """What was begun, once its manifests are known; raises Refused for an image of the engine that isn't whole."""
    wanted = [Platform.parse(platform) for platform in platforms]
    image = source.image
    # Where only an export would tell, it is too dear for a look.
    if not isinstance(image, StoreImage) or (image.bar and not wanted):
        return source
    if image.is_unpacked:
        return unpacked_source(session, source.name, image, wanted)
    whole = image.whole(wanted)
    return Source(source.name, image, root=whole if wanted else None, labels=source.labels)


def begin_source(session: Session, text: str, platforms: Sequence[str] = ()) -> Source:
    """Begin to look a source up, which goes on beside what is done until `settle_source`."""
    name, wanted = SourceName.parse(text), [Platform.parse(platform) for platform in platforms]
    if name.transport is Transport.DAEMON:
        return _of_engine(session, name, wanted)
    if name.transport is Transport.DOCKER_ARCHIVE:
        return _of_docker_archive(session, name, wanted)
    stored = _stored(session, name)
    return Source(name, stored, root=_narrowed(stored, wanted))


def _narrowed(stored: StoredImage, wanted: Sequence[Platform]) -> Content | None:
    if not wanted:
        return None
    return narrow(stored.root(), wanted, stored.manifest, platform_reader(stored.open_blob))


def _of_docker_archive(session: Session, name: SourceName, wanted: Sequence[Platform]) -> Source:
    from publisher.archives.engine_export import open_saved_archive
    from publisher.archives.oci_layout import OciLayout
    from publisher.workflows.content.origins import ArchivedImage, Origins, complete

    archive = open_saved_archive(_path(session, name), name.tag, str(name))
    if not isinstance(archive, OciLayout):
        return Source(name, _fitting(name, archive, wanted))
    root = archive.root()
    image = ArchivedImage(archive, origins := Origins(session, name, root.digest))
    if isinstance(root, Manifest) and wanted:
        return Source(name, image, root=_narrowed(image, wanted))
    return Source(name, image, root=complete(root, image.find, origins, wanted, session.progress.warn))


def _fitting(name: SourceName, image: LooseImage, wanted: Sequence[Platform]) -> LooseImage:
    """The image, which is for one platform; raises UsageError where another is wanted."""
    for platform in wanted:
        if not fits(image.platform, platform):
            raise UsageError(f"{name} has no platform {platform}", hint=f"it has {image.platform}")
    return image


def _path(session: Session, name: SourceName) -> Path:
    return _stdin_archive(session) if name.rest == STDIN else session.directory / Path(name.rest).expanduser()


def _stdin_archive(session: Session) -> Path:
    """The archive that comes on standard input, uncompressed in a file that goes with the run.

    Raises UsageError at a terminal, BadArchive for nothing and for broken data, DiskFull.
    """
    if session.stdin_archive is None:
        if session.takes_password:
            raise UsageError(
                "'-' is an archive on standard input, which --password-stdin has taken",
                hint="log in first, with 'publish login', or name the archive's file",
            )
        if sys.stdin.isatty():
            raise UsageError(
                "'-' is an archive on standard input, and that is a terminal",
                hint="pipe one in: docker save app:1 | publish release -",
            )
        path = session.temporary_folder() / "stdin.tar"
        with path.open("wb") as file:
            unpack(sys.stdin.buffer, file, "standard input")
        session.stdin_archive = path
    return session.stdin_archive


def _stored(session: Session, name: SourceName) -> StoredImage:
    if name.transport is Transport.REGISTRY:
        from publisher.registry.image import RemoteImage

        reference = Reference.parse(name.rest)
        return RemoteImage(session.remote(reference.repository), reference)
    from publisher.archives.oci_layout import open_oci_archive, open_oci_layout

    if name.transport is Transport.OCI:
        return open_oci_layout(_path(session, name), name.tag)
    return open_oci_archive(_path(session, name), name.tag, str(name))


def _of_engine(session: Session, name: SourceName, wanted: Sequence[Platform]) -> Source:
    try:
        held = session.engine.need(name.rest)
    except (SourceNotFound, EngineUnavailable) as error:
        if (hint := _likely(session, name.rest)) is None:
            raise
        problem = error.message
        if isinstance(error, EngineUnavailable):
            problem = f"'{name.rest}' means an image of the engine, and none answers"
        raise SourceNotFound(problem, reference=name, hint=hint) from error
    if held.config is not None:
        image = _fitting(name, exported_layers(session, held, held.config), wanted)
        return Source(name, image, labels=held.labels, held=held)
    stored = StoreImage(session, name, held)
    stored.begin()
    return Source(name, stored, labels=held.labels)


def _likely(session: Session, text: str) -> str | None:
    """What may have been meant by a name that the engine doesn't know, or a file that it need not."""
    path = session.directory / text
    if path.is_dir():
        return f"write oci:{text}" if (path / "index.json").is_file() else None
    return f"write {Transport.DOCKER_ARCHIVE}:{text}" if path.is_file() else likely_source(text)


def unpacked_source(session: Session, name: SourceName, stored: StoreImage, wanted: Sequence[Platform] = ()) -> Source:
    """An image of a containerd store whose layers are not compressed: they are, as those of a classic store are."""
    root = stored.root()
    if not isinstance(root, Manifest):
        raise UsageError(f"{name} is an index")
    held = replace(stored.held, config=root.config.digest)
    image = _fitting(name, exported_layers(session, held, root.config.digest), wanted)
    return Source(name, image, labels=held.labels, held=held)


def exported_layers(session: Session, held: EngineImage, config: Digest) -> LooseImage:
    """The layers as the engine exports them: by its id, since the name may be moved to another image meanwhile."""
    from publisher.archives.docker_archive import DockerArchive

    def open_export() -> AbstractContextManager[BinaryIO]:
        return session.engine.open_export(held.id)

    sizes = partial(sizes_in_engine, session, held)
    return DockerArchive(open_export, config, held.diff_ids, held.platform, held.size, sizes)


def sizes_in_engine(session: Session, held: EngineImage) -> tuple[int, ...]:
    """Of its layers in bytes, the lowest first; none where the engine doesn't say."""
    from publisher.engine.relatives import layer_sizes

    with suppress(PublishError):
        return layer_sizes(session.engine, held.id)
    return ()


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
    digest = sources[0].digest if len(sources) == 1 else None
    same = {
        held
        for destination in destinations
        for held in _decisive(candidates, published[destination.repository])
        if held != digest and _is_same(destination.remote, held, sources)
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


def _is_same(remote: RemoteRepository, held: Digest, sources: Sequence[Source]) -> bool:
    content = remote.find(held)
    if content is None:
        return False
    wanted = sources[0].identity if len(sources) == 1 else _joined(sources)
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
