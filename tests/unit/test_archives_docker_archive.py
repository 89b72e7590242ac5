"""The forms of a docker-save archive, as streams and as files."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from publisher.archives import layer as layer_module
from publisher.archives.docker_archive import DockerArchive, SavedImageFile
from publisher.archives.engine_export import open_saved_archive
from publisher.archives.oci_layout import OciLayout, open_oci_archive, open_oci_layout
from publisher.model import media
from publisher.model.digest import Digest
from publisher.model.errors import BadArchive, SourceNotFound
from publisher.model.manifest import Descriptor, Index, Manifest, Platform, compose_index, compose_manifest
from publisher.model.protocols import LooseImage
from tests.support.saved_image import open_docker_archive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import BinaryIO

LAYERS = (b"lower" * 300, b"upper" * 500)
DIFF_IDS = tuple(Digest.of(layer) for layer in LAYERS)


@dataclass
class Archive:
    """An archive in the making: files, and links to them, in order."""

    members: dict[str, bytes] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)

    def blob(self, content: bytes) -> str:
        """Put a file where an OCI layout keeps it."""
        name = f"blobs/sha256/{Digest.of(content).hex}"
        self.members[name] = content
        return name

    def written(self) -> bytes:
        """The tar."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
            for name, content in self.members.items():
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
            for name, target in self.links.items():
                member = tarfile.TarInfo(name)
                member.type, member.linkname = tarfile.SYMTYPE, target
                archive.addfile(member)
        return buffer.getvalue()


def config_of(layers: tuple[bytes, ...]) -> bytes:
    diff_ids = [str(Digest.of(layer)) for layer in layers]
    return json.dumps({"os": "linux", "architecture": "amd64", "rootfs": {"diff_ids": diff_ids}}).encode()


CONFIG = config_of(LAYERS)


def listing(config: str, layers: list[str], tags: list[str] | None = None) -> bytes:
    return json.dumps([{"Config": config, "RepoTags": tags or ["app:1"], "Layers": layers}]).encode()


def old() -> Archive:
    """As engines before 25 write it: the config between the folders, the list last."""
    names = [f"{number:064x}/layer.tar" for number in range(2)]
    config = f"{Digest.of(CONFIG).hex}.json"
    return Archive(
        {
            f"{0:064x}/VERSION": b"1.0",
            f"{0:064x}/json": b"{}",
            names[0]: LAYERS[0],
            config: CONFIG,
            names[1]: LAYERS[1],
            "manifest.json": listing(config, names),
            "repositories": b"{}",
        }
    )


def repeated() -> Archive:
    """As `old`, where the first layer stands twice in the image."""
    archive = old()
    config = config_of((*LAYERS, LAYERS[0]))
    name = f"{Digest.of(config).hex}.json"
    archive.members = {key: value for key, value in archive.members.items() if not key.endswith(".json")}
    archive.members[name] = config
    archive.links[f"{2:064x}/layer.tar"] = f"../{0:064x}/layer.tar"
    names = [f"{number:064x}/layer.tar" for number in range(3)]
    archive.members["manifest.json"] = listing(name, names)
    return archive


def podman() -> Archive:
    """As podman and skopeo write it: files by diffID, and links for old readers."""
    names = [f"{diff_id.hex}.tar" for diff_id in DIFF_IDS]
    config = f"{Digest.of(CONFIG).hex}.json"
    members = {names[0]: LAYERS[0], names[1]: LAYERS[1], config: CONFIG, "manifest.json": listing(config, names)}
    return Archive(members, {f"{number:064x}/layer.tar": f"../{name}" for number, name in enumerate(names)})


def new() -> Archive:
    """As engines since 25 with the classic store write it: an OCI layout of uncompressed layers."""
    archive = Archive()
    names = [archive.blob(layer) for layer in LAYERS]
    config = archive.blob(CONFIG)
    made_up = archive.blob(b'{"schemaVersion":2}').rpartition("/")[2]
    entry = {"mediaType": media.OCI_MANIFEST, "digest": f"sha256:{made_up}", "size": 19}
    archive.members["index.json"] = json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode()
    archive.members["oci-layout"] = b'{"imageLayoutVersion":"1.0.0"}'
    archive.members["manifest.json"] = listing(config, names)
    return archive


def crane() -> Archive:
    """As crane and kaniko write it: compressed layers, no manifest."""
    packed = [gzip.compress(layer, mtime=0) for layer in LAYERS]
    names = [f"{Digest.of(content).hex}.tar.gz" for content in packed]
    config = str(Digest.of(CONFIG))
    return Archive({config: CONFIG, **dict(zip(names, packed, strict=True)), "manifest.json": listing(config, names)})


FORMS: dict[str, Callable[[], Archive]] = {
    "old": old,
    "repeated": repeated,
    "podman": podman,
    "new": new,
    "crane": crane,
}


def opener(content: bytes) -> Callable[[], Any]:
    """A stream of the archive, each time from its start; it can't be moved in."""

    class Stream(io.BytesIO):
        def seekable(self) -> bool:
            return False

    @contextmanager
    def opened() -> Iterator[BinaryIO]:
        yield Stream(content)

    return opened


def write(folder: Path, archive: Archive) -> Path:
    path = folder / "a.tar"
    path.write_bytes(archive.written())
    return path


def contents(image: LooseImage, wanted: frozenset[Digest] | None = None) -> list[tuple[Digest | None, bytes]]:
    found = []
    with image.layers(frozenset(image.diff_ids) if wanted is None else wanted) as layers:
        for diff_id, layer in layers:
            found.append((diff_id, b"".join(iter(lambda: layer.read(64), b""))))  # noqa: B023 - read at once
    return found


@pytest.mark.parametrize("form", FORMS)
def test_a_file_gives_its_layers_by_diff_id(form: str, tmp_path: Path) -> None:
    """Each layer once, its diffID ahead, and the config's own bytes."""
    image = open_docker_archive(write(tmp_path, FORMS[form]()))
    assert contents(image) == list(zip(DIFF_IDS, LAYERS, strict=True))
    assert image.config_digest == Digest.of(image.config)
    assert image.platform == Platform("linux", "amd64")
    assert isinstance(image, LooseImage)


@pytest.mark.parametrize("form", ["old", "repeated", "podman", "new"])
def test_a_stream_gives_its_layers(form: str) -> None:
    """In the archive's order, each once; the config is there after them, or is looked for."""
    archive = FORMS[form]()
    config = next(content for content in archive.members.values() if b"rootfs" in content)
    image = DockerArchive(opener(archive.written()), Digest.of(config), DIFF_IDS, Platform("linux", "amd64"))
    found = contents(image)
    assert [layer for _diff_id, layer in found] == list(LAYERS)
    assert all(diff_id in {None, Digest.of(layer)} for diff_id, layer in found)
    assert image.config == config
    assert isinstance(image, LooseImage)


def test_config_is_found_without_reading_layers_first() -> None:
    """Whoever needs only the config gets it."""
    image = DockerArchive(opener(old().written()), Digest.of(CONFIG), DIFF_IDS, Platform("linux", "amd64"))
    assert image.config == CONFIG


def test_layers_may_be_left_unread() -> None:
    """The next one starts where it should."""
    image = DockerArchive(opener(old().written()), Digest.of(CONFIG), DIFF_IDS, Platform("linux", "amd64"))
    with image.layers(frozenset(DIFF_IDS)) as layers:
        next(layers)[1].read(3)
        assert next(layers)[1].read(5000) == LAYERS[1]


@pytest.mark.parametrize("form", ["old", "new", "crane"])
def test_known_layers_are_passed_over(form: str, tmp_path: Path) -> None:
    """In a file all diffIDs are known ahead."""
    image = open_docker_archive(write(tmp_path, FORMS[form]()))
    assert contents(image, frozenset({DIFF_IDS[1]})) == [(DIFF_IDS[1], LAYERS[1])]
    assert contents(image, frozenset()) == []


def test_a_stream_by_diff_ids_passes_known_layers_over() -> None:
    """The engine says ahead which layer it is."""
    image = DockerArchive(opener(new().written()), Digest.of(CONFIG), DIFF_IDS, Platform("linux", "amd64"))
    assert contents(image, frozenset({DIFF_IDS[0]})) == [(DIFF_IDS[0], LAYERS[0])]


def test_a_stream_without_its_config_is_refused() -> None:
    """It is another image's."""
    image = DockerArchive(opener(old().written()), Digest.of(b"other"), DIFF_IDS, Platform("linux", "amd64"))
    with pytest.raises(BadArchive, match="no config"):
        _ = image.config


@pytest.mark.parametrize("form", ["old", "new"])
def test_a_config_that_is_not_its_name_is_refused(form: str, tmp_path: Path) -> None:
    """In a stream as in a file."""
    archive = FORMS[form]()
    name = next(name for name, content in archive.members.items() if content == CONFIG)
    archive.members[name] = CONFIG + b" "
    image = DockerArchive(opener(archive.written()), Digest.of(CONFIG), DIFF_IDS, Platform("linux", "amd64"))
    with pytest.raises(BadArchive, match="not what its name"):
        _ = image.config
    with pytest.raises(BadArchive, match="not what its name"):
        open_docker_archive(write(tmp_path, archive))


@pytest.mark.parametrize("wanted", ["app:1", "1", "docker.io/library/app:1", "other"])
def test_one_of_several_is_chosen_by_name(wanted: str, tmp_path: Path) -> None:
    """Short and full names mean the same, a tag alone does too; latest is understood."""
    archive = old()
    (one,) = json.loads(archive.members["manifest.json"])
    config = config_of(())
    archive.members["b.json"] = config
    other = {"Config": "b.json", "RepoTags": ["other:latest"], "Layers": None}
    archive.members["manifest.json"] = json.dumps([one, other]).encode()
    path = write(tmp_path, archive)
    image = open_docker_archive(path, wanted)
    assert image.config == (config if wanted == "other" else CONFIG)
    with pytest.raises(SourceNotFound, match="holds 2 images") as several:
        open_docker_archive(path)
    with pytest.raises(SourceNotFound, match="holds no image none") as absent:
        open_docker_archive(path, "none")
    assert all("app:1, other:latest" in (raised.value.hint or "") for raised in (several, absent))


def spoiled(change: Callable[[Archive], object]) -> Archive:
    archive = crane()
    change(archive)
    return archive


def replace_layer(content: bytes) -> Callable[[Archive], object]:
    def change(archive: Archive) -> None:
        name = next(name for name in archive.members if name.endswith(".tar.gz"))
        archive.members[name] = content

    return change


PACKED = gzip.compress(LAYERS[0], mtime=0)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(PACKED[:-9], "cut off", id="cut"),
        pytest.param(PACKED[:12], "cut off", id="cut early"),
        pytest.param(PACKED[:10] + b"\xff" * 20, "broken", id="broken"),
        pytest.param(PACKED[:-8] + bytes(8), "broken", id="checksum"),
        pytest.param(PACKED + b"rest", "broken", id="rest"),
        pytest.param(b"\x28\xb5\x2f\xfd" + bytes(50), "zstd", id="zstd"),
    ],
)
def test_a_broken_compressed_layer_is_refused(content: bytes, words: str, tmp_path: Path) -> None:
    """Nothing is taken for the layer's end that isn't."""
    image = open_docker_archive(write(tmp_path, spoiled(replace_layer(content))))
    with pytest.raises(BadArchive, match=words):
        contents(image)


def test_a_layer_in_several_gzip_members_is_read_whole(tmp_path: Path) -> None:
    """Parallel compressors write them one behind the other."""
    content = gzip.compress(LAYERS[0][:100]) + gzip.compress(LAYERS[0][100:])
    image = open_docker_archive(write(tmp_path, spoiled(replace_layer(content))))
    assert contents(image) == list(zip(DIFF_IDS, LAYERS, strict=True))


def test_a_decompression_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends at a thousandfold, long before its own end."""
    monkeypatch.setattr(layer_module, "HARMLESS", 1 << 16)
    bomb = gzip.compress(bytes(1 << 24), mtime=0)
    monkeypatch.setattr(layer_module, "LARGEST_RATIO", 10)
    image = open_docker_archive(write(tmp_path, spoiled(replace_layer(bomb))))
    with image.layers(frozenset(image.diff_ids)) as layers:
        _diff_id, layer = next(layers)
        pieces: list[bytes] = []
        with pytest.raises(BadArchive, match="bomb"):
            pieces.extend(iter(lambda: layer.read(1 << 16), b""))
    assert sum(map(len, pieces)) <= 11 * len(bomb) + (1 << 17)


# A containerd store's export has real manifests, with compressed blobs.


def containerd(platforms: tuple[str, ...], held: tuple[str, ...], *, attested: bool = False) -> tuple[Archive, Index]:
    """An index of `platforms`, of which only `held` are whole; returns the archive and the index."""
    archive = Archive({"oci-layout": b'{"imageLayoutVersion":"1.0.0"}'})
    entries = []
    for platform in platforms:
        manifest, contents = image_of(platform.encode())
        entries.append(replace_platform(manifest.descriptor, Platform.parse(platform)))
        if platform in held:
            for content in (manifest.content, *contents):
                archive.blob(content)
    if attested:
        manifest, contents = image_of(b"attestation")
        for content in (manifest.content, *contents):
            archive.blob(content)
        marks = {"vnd.docker.reference.type": "attestation-manifest"}
        found = manifest.descriptor
        unknown = Platform("unknown", "unknown")
        entries.append(Descriptor(found.media_type, found.digest, found.size, unknown, marks))
    index = compose_index(tuple(entries))
    archive.blob(index.content)
    root = {
        **index.descriptor.document(),
        "annotations": {
            "io.containerd.image.name": "docker.io/library/app:1",
            "org.opencontainers.image.ref.name": "1",
        },
    }
    archive.members["index.json"] = json.dumps({"schemaVersion": 2, "manifests": [root]}).encode()
    first = image_of(held[0].encode())[0] if held else None
    if first:
        layers = [f"blobs/sha256/{layer.digest.hex}" for layer in first.layers]
        archive.members["manifest.json"] = listing(f"blobs/sha256/{first.config.digest.hex}", layers)
    return archive, index


def image_of(text: bytes) -> tuple[Manifest, tuple[bytes, bytes]]:
    config, layer = config_of((text,)), gzip.compress(text, mtime=0)
    manifest = compose_manifest(
        Descriptor(media.OCI_CONFIG, Digest.of(config), len(config)),
        (Descriptor(media.OCI_LAYER_GZIP, Digest.of(layer), len(layer)),),
    )
    return manifest, (config, layer)


def replace_platform(found: Descriptor, platform: Platform) -> Descriptor:
    return Descriptor(found.media_type, found.digest, found.size, platform)


BOTH = ("linux/amd64", "linux/arm64")


@pytest.mark.parametrize("wanted", ["", "app:1", "1", "docker.io/library/app:1"])
def test_a_saved_file_of_a_containerd_store_keeps_its_manifests(wanted: str, tmp_path: Path) -> None:
    """docker-archive: gives the exact index, by any of its names."""
    archive, index = containerd(BOTH, BOTH)
    found = open_saved_archive(write(tmp_path, archive), wanted)
    assert isinstance(found, OciLayout)
    assert found.root() == index


def test_an_index_over_uncompressed_layers_is_kept(tmp_path: Path) -> None:
    """It lists platforms or attestations, which a manifest of ours would drop."""
    archive = new()
    manifest = compose_manifest(
        Descriptor(media.OCI_CONFIG, Digest.of(CONFIG), len(CONFIG)),
        tuple(Descriptor(media.OCI_LAYER_TAR, Digest.of(layer), len(layer)) for layer in LAYERS),
    )
    index = compose_index((replace_platform(manifest.descriptor, Platform("linux", "amd64")),))
    for content in (manifest.content, index.content):
        archive.blob(content)
    archive.members["index.json"] = json.dumps(
        {"schemaVersion": 2, "manifests": [index.descriptor.document()]}
    ).encode()
    found = open_saved_archive(write(tmp_path, archive))
    assert isinstance(found, OciLayout)
    assert found.root() == index


@pytest.mark.parametrize("form", FORMS)
def test_other_saved_files_are_loose(form: str, tmp_path: Path) -> None:
    """A manifest that an engine made up for uncompressed layers is not kept."""
    assert isinstance(open_saved_archive(write(tmp_path, FORMS[form]())), SavedImageFile)


def test_a_neighbouring_transport_is_named(tmp_path: Path) -> None:
    """Whoever writes one for the other is told which."""
    docker, folder = write(tmp_path, old()), tmp_path / "folder"
    folder.mkdir()
    for attempt, hint in (
        (lambda: open_oci_archive(docker), f"write docker-archive:{docker}"),
        (lambda: open_oci_archive(folder), f"write oci:{folder}"),
        (lambda: open_docker_archive(folder), f"write oci:{folder}"),
        (lambda: open_oci_layout(docker), f"write oci-archive:{docker}"),
    ):
        with pytest.raises((BadArchive, SourceNotFound)) as raised:
            attempt()
        assert raised.value.hint == hint


def test_a_compressed_archive_is_read_as_it_is(tmp_path: Path) -> None:
    """It is unpacked meanwhile."""
    path = tmp_path / "a.tar.gz"
    path.write_bytes(gzip.compress(old().written()))
    assert contents(open_docker_archive(path)) == list(zip(DIFF_IDS, LAYERS, strict=True))


def test_hints_show_no_control_characters(tmp_path: Path) -> None:
    """Names in an archive are somebody else's text."""
    archive = old()
    archive.members["manifest.json"] = listing("x", [], ["a:\x1b[2J", "b:1"])
    with pytest.raises(SourceNotFound) as raised:
        open_docker_archive(write(tmp_path, archive), "none")
    assert "\x1b" not in (raised.value.hint or "")


def test_an_archive_that_is_cut_while_it_is_read_is_refused(tmp_path: Path) -> None:
    """Its members were found, and then their bytes are gone."""
    path = write(tmp_path, old())
    image = open_docker_archive(path)
    path.write_bytes(path.read_bytes()[:1024])
    with pytest.raises(BadArchive, match="cut off"):
        contents(image)
