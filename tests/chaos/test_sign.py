"""Signing under every failure: no tag moves before the signature stands and verifies, and nothing is signed twice.

`pytest tests/chaos/test_sign.py --whole` fails every request of a signed release, by default every fourth.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from publisher.attest.check import Checker
from publisher.attest.keyless import Keyless
from publisher.attest.keys import SigningKey
from publisher.model.attestation import SignOptions
from publisher.model.errors import BadAttestation
from publisher.model.manifest import Index, Manifest, parse_manifest
from publisher.sandbox.options import Options
from publisher.workflows.release import ReleaseOptions
from tests.support.attest import new_key, private_pem
from tests.support.commands import KILLED, CommandResult, release_of
from tests.support.layout import make_layout
from tests.support.simulated_faults import (
    BAD_GATEWAY,
    BUSY,
    FORBIDDEN,
    KILLED_AFTER,
    LOST,
    RESET,
)
from tests.support.simulated_faults import (
    KILLED as KILL,
)
from tests.support.simulation import SimulatedRun, World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from publisher.model.digest import Digest
    from tests.support.simulated_faults import SimulatedFault
    from tests.support.simulation import SimulatedRequest

    FaultOf = Callable[[int, str, str], SimulatedFault | None]
    FaultChoice = Callable[[SimulatedFault, int], FaultOf]

NAME = "acme/app"
TAGS = {"1.2.3", "1.2", "1", "latest"}
WAYS = ("key", "ci")
KEY = new_key()


class Trial:
    """Signed releases of one layout, each in a world of its own.

    way: by a key, by a key in cosign's older form too, or by the job's identity.
    """

    def __init__(self, folder: Path, way: str, *, api: bool) -> None:
        self.folder, self.way, self.api = folder, way, api
        self.sbom: Path | None = None
        self.digest: Digest = make_layout(folder / "layout", "signed")
        (folder / "cosign.key").write_bytes(private_pem(KEY))
        (folder / "cosign.key").chmod(0o600)

    def world(self) -> World:
        """An empty registry, in which no tag may hold what isn't signed."""
        world = World(options=Options(referrers=self.api))
        world.watch = lambda asked: self._watch(world, asked)
        return world

    def release(self, world: World, machine: str, fate: FaultOf | None = None) -> SimulatedRun:
        """Release on a machine; `ended` of the run says how."""
        run = SimulatedRun(world, 0, self.folder / machine, fate or (lambda _number, _method, _path: None))
        if self.way == "older":
            run.machine.mkdir(exist_ok=True)
            (run.machine / "publish.toml").write_text('[sign]\nby = "../cosign.key"\nlegacy = true\n')
        sign = SignOptions(
            sign=self.way == "ci",
            key=str(self.folder / "cosign.key") if self.way == "key" else None,
            sbom=str(self.sbom) if self.sbom else None,
        )
        options = ReleaseOptions(sign=sign)
        self.ended: CommandResult = release_of(run, f"oci:{self.folder / 'layout'}", "1.2.3", NAME, options=options)
        return run

    def _watch(self, world: World, asked: SimulatedRequest) -> None:
        if asked.method == "PUT" and asked.is_done and TAGS & set(world.tags(NAME)):
            assert set(self.kinds(world)) >= {"signature", "provenance"}, f"a tag moved at {asked} before it was signed"

    def kinds(self, world: World) -> Counter[str]:
        """The statements that are listed and hold."""
        return Counter(word for bundle in self.bundles(world) if (word := self._word(world, bundle)))

    def older(self, world: World) -> int:
        """How many signatures stand in the older form."""
        held = world.contents(NAME).get(f"sha256-{self.digest.hex}.sig")
        return len(json.loads(held)["layers"]) if held else 0

    def assert_signed_once(self, world: World, number: int) -> None:
        """Every tag is there, and every statement stands once."""
        assert set(world.tags(NAME)) >= TAGS
        assert self.kinds(world) == {"signature": 1, "provenance": 1}, number
        assert self.older(world) == (self.way == "older"), number

    def bundles(self, world: World) -> Iterator[bytes]:
        """What is listed beside the image."""
        if self.api:
            listed = [entry["digest"] for entry in world.store.referrers(NAME, self.digest, None)]
        else:
            held = world.contents(NAME).get(f"sha256-{self.digest.hex}")
            index = parse_manifest(held) if held else None
            listed = [str(entry.digest) for entry in index.manifests] if isinstance(index, Index) else []
        for digest in listed:
            artifact = world.manifest(NAME, digest)
            assert isinstance(artifact, Manifest)
            layer = artifact.layers[0]
            yield world.store.blob_store.read(layer.digest, 0, layer.size)

    def _word(self, world: World, bundle: bytes) -> str:
        application = world._application
        root = json.dumps(application.sigstore.trusted_root()).encode()
        from publisher.attest.identity import ProjectSigner

        checker = Checker([SigningKey(KEY).public, ProjectSigner("github.com/sandbox/sample")], Keyless(lambda: root))
        try:
            return checker.bundle(bundle, self.digest).word
        except BadAttestation:
            return ""


@pytest.fixture(
    params=[*((way, api) for way in WAYS for api in (True, False)), ("older", False)],
    ids=lambda one: f"{one[0]}-{one[1]}",
)
def trial(request: pytest.FixtureRequest, tmp_path: Path) -> Trial:
    """By key and by job, with the referrers API and without."""
    way, api = request.param
    return Trial(tmp_path, way, api=api)


@pytest.fixture
def positions(trial: Trial, pytestconfig: pytest.Config) -> range:
    """Which requests to fail, of those that a release takes when none fails."""
    with trial.world() as world:
        run = trial.release(world, "count")
        assert trial.ended.code == 0, trial.ended.document
        trial.assert_signed_once(world, 0)
    return range(1, run.count + 1, 1 if pytestconfig.getoption("--whole") else 4)


def once(kind: SimulatedFault, number: int) -> FaultOf:
    """Only this request."""
    return lambda count, _method, _path: kind if count == number else None


def from_then(kind: SimulatedFault, number: int) -> FaultOf:
    """This request, and all after it."""
    return lambda count, _method, _path: kind if count >= number else None


@pytest.mark.parametrize("kind", [RESET, LOST, BUSY, BAD_GATEWAY], ids=str)
def test_a_request_that_fails_once_is_no_matter(kind: SimulatedFault, trial: Trial, positions: range) -> None:
    """Each statement is signed once, whatever connection breaks, before or after the act."""
    for number in positions:
        with trial.world() as world:
            trial.release(world, f"{kind}-{number}", once(kind, number))
            assert trial.ended.code == 0, f"{kind} at request {number}: {trial.ended.document}"
            trial.assert_signed_once(world, number)


@pytest.mark.parametrize(
    ("kind", "when", "codes"),
    [
        (KILL, once, {KILLED}),
        (KILLED_AFTER, once, {KILLED}),
        # What comes after the last write, as a look at who else sees it, may fail unharmed.
        (FORBIDDEN, from_then, {0, 3, 4, 5, 6, 7}),
        (BUSY, from_then, {0, 3, 4, 5, 6, 7}),
    ],
    ids=["killed before", "killed after", "forbidden from then on", "busy from then on"],
)
def test_what_ends_a_run_moves_no_tag_unsigned_and_the_next_finishes(
    kind: SimulatedFault, when: FaultChoice, codes: set[int], trial: Trial, positions: range
) -> None:
    """On another machine too, and signs nothing twice. That no tag moves unsigned is watched at each request."""
    for number in positions:
        with trial.world() as world:
            trial.release(world, f"{kind}-{number}", when(kind, number))
            assert trial.ended.code in codes, f"{kind} at request {number}: {trial.ended.document}"
            moved = TAGS & set(world.tags(NAME))
            assert trial.ended.code in {7, KILLED} or moved in (set(), TAGS), number
            world.more_runs()
            trial.release(world, f"{kind}-{number}-again")
            assert trial.ended.code == 0, f"after {kind} at request {number}: {trial.ended.document}"
            trial.assert_signed_once(world, number)


@pytest.mark.parametrize("api", [True, False])
def test_a_log_that_is_down_ends_within_its_deadline(api: bool, tmp_path: Path) -> None:
    """Rekor answers 502 for as long as anybody asks: five minutes of virtual time, exit 6, no tag; then it is back."""
    trial = Trial(tmp_path, "ci", api=api)
    with trial.world() as world:
        began = world.clock()
        trial.release(world, "down", lambda _n, _m, path: BAD_GATEWAY if "log/entries" in path else None)
        assert trial.ended.code == 6, trial.ended.document
        assert "gives no answer" in trial.ended.document["message"]
        assert 240 < world.clock() - began < 420
        assert not TAGS & set(world.tags(NAME))
        world.more_runs()
        trial.release(world, "back")
        assert trial.ended.code == 0, trial.ended.document


@pytest.mark.parametrize(
    ("way", "api", "requests"),
    [("key", True, 12), ("key", False, 16), ("ci", True, 18), ("ci", False, 22), ("older", False, 24)],
)
def test_signing_takes_few_requests(way: str, api: bool, requests: int, tmp_path: Path) -> None:
    """On top of a release: two statements sent in two requests each and read back in two, and the list around them.

    The empty config is asked for once and sent once; a job's identity, certificate and entries in the log take the
    rest. An SBOM more costs four: two to send it and two to read it back.
    """
    trial = Trial(tmp_path, way, api=api)
    with World(options=Options(referrers=api)) as world:
        plain = SimulatedRun(world, 0, tmp_path / "plain")
        assert release_of(plain, f"oci:{tmp_path / 'layout'}", "1.2.3", NAME).code == 0
        before = len(plain.trace)
    with trial.world() as world:
        assert len(trial.release(world, "signed").trace) - before == requests
    trial.sbom = tmp_path / "spdx.json"
    trial.sbom.write_text('{"spdxVersion": "SPDX-2.3", "name": "x"}')
    with trial.world() as world:
        more = 1 if way == "ci" else 0
        assert len(trial.release(world, "with an SBOM").trace) - before == requests + 4 + more


def test_without_sign_nothing_is_asked_for(tmp_path: Path) -> None:
    """Not one request about signatures, tokens or referrers; and with it there are some."""
    trial = Trial(tmp_path, "key", api=True)
    with World() as world:
        plain = SimulatedRun(world, 0, tmp_path / "plain")
        assert release_of(plain, f"oci:{tmp_path / 'layout'}", "1.2.3", NAME).code == 0
        assert not [one for one in plain.trace if "referrers" in one.path or "sigstore" in one.path]
    with trial.world() as world:
        signed = trial.release(world, "signed")
        assert [one for one in signed.trace if "referrers" in one.path]
