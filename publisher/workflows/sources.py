"""Where the image of a release comes from, and whether a registry has it already."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from publisher.archives.source import SourceName, Transport
from publisher.model.errors import ConfigError, Refused
from publisher.model.manifest import Manifest
from publisher.model.reference import Reference
from publisher.planning.plan import Known
from publisher.transfer.identity import Identity, identity, single

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from publisher.model.digest import Digest
    from publisher.model.manifest import Content
    from publisher.model.protocols import ImageSource, StoredImage
    from publisher.model.reference import Repository
    from publisher.planning.candidates import Candidates
    from publisher.planning.lines import Published
    from publisher.registry.repository import RemoteRepository
    from publisher.workflows.session import Session


@dataclass(frozen=True, slots=True)
class Source:
    """An image that was found: what it is, as far as that is known without reading its layers.

    root: its manifest or index, None for an engine's image, which has none yet. labels: of an engine's image.
    """

    name: SourceName
    image: ImageSource
    root: Content | None
    identity: Identity
    labels: Mapping[str, str]


def find_source(session: Session, text: str) -> Source:
    """Look a source up; raises SourceNotFound, BadReference or UsageError."""
    name = SourceName.parse(text)
    if name.transport is Transport.DAEMON:
        return _of_engine(session, name)
    if name.transport is Transport.DOCKER_ARCHIVE:
        return _of_docker_archive(session, name)
    return _of_stored(name, _stored(session, name))


def _of_docker_archive(session: Session, name: SourceName) -> Source:
    from publisher.archives.docker_archive import DockerFile
    from publisher.archives.saved import open_saved_archive

    archive = open_saved_archive(_path(session, name), name.tag)
    if isinstance(archive, DockerFile):
        return Source(name, archive, None, single(str(archive.config_digest)), {})
    return _of_stored(name, archive)


def _of_stored(name: SourceName, stored: StoredImage) -> Source:
    root = stored.root()
    return Source(name, stored, root, identity(root, stored.manifest), {})


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
        stored = open_engine_layout(lambda: engine.open_export(name.rest))
        root = stored.root()
        return Source(name, stored, root, identity(root, stored.manifest), found.labels)
    # By id: the name may be moved to another image while we work.
    export = DockerArchive(lambda: engine.open_export(found.id), found.config, found.diff_ids, found.platform)
    return Source(name, export, None, single(str(found.config)), found.labels)


def find_known(
    session: Session, sources: Sequence[Source], asked: Candidates, published: Mapping[Repository, Published]
) -> Known | None:
    """What is known of the content: its digest where one source has a manifest, and who holds the same image."""
    if len(sources) != 1:
        return None if not sources else Known()
    source = sources[0]
    digest = source.root.digest if source.root else None
    same = {
        held
        for repository, state in published.items()
        for held in _exact_digests(asked, state)
        if held != digest and _is_same(session.remote(repository), held, source)
    }
    return Known(digest, frozenset(same))


def _exact_digests(asked: Candidates, state: Published) -> Iterable[Digest]:
    return {state.held[tag] for tag in asked.tags if tag in state.held}


def _is_same(remote: RemoteRepository, held: Digest, source: Source) -> bool:
    content = remote.find(held)
    if content is None:
        return False
    if isinstance(content, Manifest):
        return single(str(content.config.digest)) == source.identity
    loaded = {entry.digest: child for entry in content.images if (child := remote.find(entry.digest)) is not None}
    if len(loaded) < len(content.images):
        return False
    return identity(content, lambda entry: loaded[entry.digest]) == source.identity


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
