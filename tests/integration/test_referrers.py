"""The list of what refers to an image, where the registry keeps none itself: many write it, nothing gets lost.

`pytest tests/integration/test_referrers.py --whole` does 200 rounds against a real registry, by default 3.
"""

from __future__ import annotations

import json
import threading
import time
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING

import pytest

from publisher.http.client import Client
from publisher.http.tls import HostSettings
from publisher.model import media
from publisher.model.artifact import RECEIPT_TYPE, SmallBlob, compose_artifact
from publisher.model.digest import Digest
from publisher.model.errors import Unreachable
from publisher.model.manifest import Content, Manifest, parse_manifest
from publisher.model.reference import Repository
from publisher.receipts.journal import take_turns
from publisher.registry.endpoint import locate
from publisher.registry.image import send_blobs
from publisher.registry.referrers import fallback_tag, list_referrers, read_referrers, referrer_entry
from publisher.registry.repository import RemoteRepository
from publisher.sandbox.options import Options
from publisher.sandbox.server import Sandbox
from tests.contracts.client import Client as PlainClient
from tests.support.simulation import SimulatedRun, World

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.command import Publish
    from tests.support.registry import RegistryProcess

WRITERS = 8
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
SUBJECT = Digest.of(b"what all of them refer to")


def remote_at(host: str, name: str, locks: Path | None = None) -> RemoteRepository:
    """The repository behind real sockets. locks: where the runs of one machine take turns."""
    client = Client(lambda _host, _name: None, lambda _host: HostSettings())
    lock = partial(take_turns, locks, time.sleep) if locks else nullcontext
    return RemoteRepository(client, locate(Repository.parse(f"{host}/{name}"), None), list_lock=lock)


def artifact_of(number: int, kind: str = BUNDLE, subject: Digest = SUBJECT) -> Manifest:
    """Something small that refers to the subject."""
    document = SmallBlob(kind, f"document {number}".encode())
    composed, _blobs = compose_artifact(kind, document)
    described = json.loads(composed.content)
    described["subject"] = {"mediaType": media.OCI_MANIFEST, "digest": str(subject), "size": 2}
    described["annotations"] = {"number": str(number)}
    parsed = parse_manifest(json.dumps(described).encode())
    assert isinstance(parsed, Manifest)
    return parsed


def all_at_once(work: Callable[[int], None]) -> None:
    """One thread for each writer; the first error is raised once all have ended."""
    errors: list[BaseException] = []

    def guarded(number: int) -> None:
        try:
            work(number)
        except BaseException as error:  # noqa: BLE001 - raised below
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(number,)) for number in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def put_artifact(remote: RemoteRepository, artifact: Content, number: int) -> None:
    """The artifact itself, which registries check before a list may name it."""
    send_blobs(remote, compose_artifact(BUNDLE, SmallBlob(BUNDLE, f"document {number}".encode()))[1])
    remote.put_manifest(artifact)


def write_at(remote: RemoteRepository, subject: Digest, number: int) -> None:
    """What one of the writers does."""
    assert not list_referrers(remote, subject, [artifact_of(number)])


def test_eight_writers_of_one_list_lose_nothing(
    registry: RegistryProcess, name: str, pytestconfig: pytest.Config, tmp_path: Path
) -> None:
    """Against a real registry, each with connections of its own, on one machine."""
    remotes = [remote_at(registry.host, name, tmp_path) for _writer in range(WRITERS)]
    for number, remote in enumerate(remotes):
        put_artifact(remote, artifact_of(number), number)
    for lap in range(200 if pytestconfig.getoption("--whole") else 3):
        subject = Digest.of(f"subject {lap}".encode())
        all_at_once(lambda number: write_at(remotes[number], subject, number))  # noqa: B023 - ended within the lap
        listed = read_referrers(remotes[0], subject)
        assert not listed.by_api
        assert {entry.annotations["number"] for entry in listed.entries} == set(map(str, range(WRITERS))), lap
    for remote in remotes:
        remote._client.close()


def put_artifacts(world: World) -> None:
    """What each writer will list."""
    for number in range(WRITERS):
        world.put_blob("acme/app", b"{}")
        world.put_blob("acme/app", f"document {number}".encode())
        world.put("acme/app", artifact_of(number))


def listed(world: World) -> set[str]:
    """The numbers of the writers that the list names."""
    entries = json.loads(world.contents("acme/app")[str(fallback_tag(SUBJECT))])["manifests"]
    return {entry["annotations"]["number"] for entry in entries}


@pytest.mark.parametrize("first", range(0, 200, 10))
def test_in_any_order_of_requests_nothing_is_lost(first: int, tmp_path: Path) -> None:
    """Eight machines in virtual time, 200 rounds: a seed decides whose request is next, and some machines are slow."""
    for seed in range(first, first + 10):
        with World(seed, WRITERS, Options(referrers=False)) as world:
            put_artifacts(world)
            runs = [SimulatedRun(world, number, tmp_path / str(number)) for number in range(WRITERS)]
            all_at_once(lambda number: write_in(runs[number]))  # noqa: B023 - ended within the lap
            assert listed(world) == set(map(str, range(WRITERS))), seed


def test_writers_on_one_machine_take_turns(tmp_path: Path) -> None:
    """Eight runs in virtual time, 40 rounds: each writes the list once, since nobody comes between."""
    for seed in range(40):
        with World(seed, WRITERS, Options(referrers=False)) as world:
            put_artifacts(world)
            runs = [SimulatedRun(world, number, tmp_path / str(seed)) for number in range(WRITERS)]
            all_at_once(lambda number: write_in(runs[number]))  # noqa: B023 - ended within the lap
            assert listed(world) == set(map(str, range(WRITERS))), seed
            assert sum(asked.method == "PUT" for asked in world.trace) == WRITERS, seed


def write_in(run: SimulatedRun) -> None:
    """What one of the machines does."""
    try:
        with run.session() as session:
            list_referrers(session.remote(Repository.parse("acme/app")), SUBJECT, [artifact_of(run.number)])
    finally:
        run.world.schedule.leave(run.number)


def test_a_list_that_keeps_nothing_ends_in_an_error(tmp_path: Path) -> None:
    """Somebody else empties it after each of our writes: bounded, and told."""
    empty = parse_manifest(json.dumps({"schemaVersion": 2, "mediaType": media.OCI_INDEX, "manifests": []}).encode())
    with World(options=Options(referrers=False)) as world:
        for blob in compose_artifact(BUNDLE, SmallBlob(BUNDLE, b"document 0"))[1]:
            world.put_blob("acme/app", blob.content)
        world.put("acme/app", artifact_of(0))
        tag = str(fallback_tag(SUBJECT))
        world.watch = lambda asked: world.put("acme/app", empty, tag) if asked.method == "PUT" else None
        with SimulatedRun(world, 0, tmp_path).session() as session:
            remote = session.remote(Repository.parse("acme/app"))
            with pytest.raises(Unreachable, match="doesn't keep what is written to it"):
                list_referrers(remote, SUBJECT, [artifact_of(0)])
        assert sum(asked.method == "PUT" for asked in world.trace) == 8


def test_an_entry_says_what_the_artifact_says() -> None:
    """Its type, else its config's, and all of its annotations."""
    artifact = artifact_of(7)
    assert referrer_entry(artifact).document() == {
        "mediaType": media.OCI_MANIFEST, "digest": str(artifact.digest), "size": len(artifact.content),
        "annotations": {"number": "7"}, "artifactType": BUNDLE,
    }  # fmt: skip
    typeless = json.loads(artifact.content)
    del typeless["artifactType"]
    typeless["config"]["mediaType"] = "application/x.config"
    assert referrer_entry(parse_manifest(json.dumps(typeless).encode())).artifact_type == "application/x.config"


def test_a_wrong_list_is_put_right_on_the_way(registry: RegistryProcess, publish: Publish, name: str) -> None:
    """Go's tools have written lists of the empty type, without annotations: `retag` reads the artifact itself."""
    with Sandbox(options=Options(referrers=False)) as sandbox:
        client = PlainClient(sandbox.url)
        image = client.send_image(name, "app", "1.0.0")
        artifacts = [artifact_of(number, kind, image.digest) for number, kind in enumerate((BUNDLE, RECEIPT_TYPE))]
        for number, artifact in enumerate(artifacts):
            client.send_blob(name, f"document {number}".encode())
            client.send_blob(name, b"{}")
            assert client.put(name, artifact.digest, artifact).status_code == 201
        wrong = [
            {**artifact.descriptor.document(), "artifactType": "application/vnd.oci.empty.v1+json"}
            for artifact in artifacts
        ]
        index = {"schemaVersion": 2, "mediaType": media.OCI_INDEX, "manifests": wrong}
        raw = json.dumps(index).encode()
        assert client.put(name, fallback_tag(image.digest), raw, media.OCI_INDEX).status_code == 201
        host = sandbox.url.removeprefix("http://")
        done = publish("retag", f"{host}/{name}:1.0.0", f"{registry.host}/{name}:1.0.0")
        assert done.code == 0, done.stderr
        assert f"carried  {BUNDLE} to {registry.host}/{name}" in done.stderr
    listed = read_referrers(remote_at(registry.host, name), image.digest).entries
    assert listed == (referrer_entry(artifacts[0]),)
