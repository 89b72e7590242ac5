"""How a run ends: whatever ends it, and when, its exit code, its stdout, its receipt and the registry agree.

One release for each moment and each end, side by side, against the sandbox behind a proxy that holds a request.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from publisher.model.digest import Digest
from publisher.model.manifest import Manifest
from publisher.sandbox.server import Sandbox
from tests.support.fault_proxy import FaultProxy
from tests.support.http_server import Answer, serve
from tests.support.layout import make_layout

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tests.support.command import Publish
    from tests.support.fault_proxy import ProxyFault, TransientFault
    from tests.support.http_server import ServerRequest

# The request at which a release is held: of its content; of its first floating tag; the first after the last tag.
MOMENTS: Final = {
    "before": re.compile("PUT .*/manifests/sha256:"),
    "between": re.compile("PUT .*/manifests/1$|PUT .*/manifests/1.1$"),
    "after": re.compile("(?:GET|HEAD) "),
}
_LATEST: Final = re.compile("PUT .*/manifests/latest$")
_WRITTEN: Final = {"done", "unknown"}
_ROOM: Final = 1 << 20


class Gate(FaultProxy):
    """A proxy that holds one request: `moment` tells which; with `gone` set nothing is answered any more."""

    moment: str = ""
    gone: bool = False
    is_latest_done: bool = False

    def count(self, method: str, path: str) -> ProxyFault | TransientFault | None:
        """As FaultProxy; by what is asked, not by its number."""
        line = f"{method} {path}"
        with self._lock:
            is_due = self.moment != "after" or self.is_latest_done
            is_it = bool(self.moment) and is_due and bool(MOMENTS[self.moment].match(line))
            self.is_latest_done = self.is_latest_done or bool(_LATEST.match(line))
            if self.gone:
                return "reset"
            if not is_it:
                return None
            self.moment = ""
            return "stall"


@dataclass
class Cell:
    """One release of 1.1.0 beside 1.0.0, what ends it, and when."""

    moment: str
    end: str
    folder: Path
    gate: Gate
    engine: ExitStack = field(default_factory=ExitStack)
    child: subprocess.Popen[bytes] | None = None
    disk: Path | None = None
    stdout: bytes = b""
    stderr: str = ""

    @property
    def name(self) -> str:
        """Its repository."""
        return f"t/{self.moment}-{self.end.lower()}"

    @property
    def running(self) -> subprocess.Popen[bytes]:
        """The process."""
        assert self.child
        return self.child

    @property
    def full(self) -> bool:
        """Whether a disk of its own fills up."""
        return self.end in {"journal-full", "temporary-full"}

    def words(self, program: str, layout: Path) -> list[str]:
        """The command; a disk of its own is mounted where nobody else sees it."""
        words = [
            program, "release", f"oci:{layout}", "--image", f"{self.gate.host}/{self.name}", "--version", "1.1.0",
            "--format", "json", "--timeout", "6" if self.end in _LIMITED else "60",
            "--receipt", str(self.folder / self.state / "receipt.json"),
        ]  # fmt: skip
        if self.end == "SIGTERM-only":
            return ["sh", "-c", 'trap "" INT && exec "$@"', "sh", *words]
        if not self.full:
            return words
        apart = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--mount", "--map-root-user"]
        mount = f'mount -t tmpfs -o size={_ROOM} none "{self.folder}/disk" && exec "$@"'
        return [*apart, "sh", "-c", mount, "sh", *words]

    @property
    def state(self) -> str:
        """The folder of its journal."""
        return "disk" if self.end == "journal-full" else "state"

    def environ(self, environ: Mapping[str, str]) -> dict[str, str]:
        """What it runs in: with the disk for its journal, or for all that may go."""
        disk, state = self.folder / "disk", self.folder / self.state
        return {
            **environ, "XDG_STATE_HOME": str(state), "XDG_CACHE_HOME": str(disk / "cache"), "TMPDIR": str(disk),
            "DOCKER_HOST": f"unix://{self.folder}/engine.sock",
        }  # fmt: skip

    @contextmanager
    def started(self, publish: Publish, layout: Path) -> Iterator[None]:
        """The release, running until the block ends."""
        for name in ("disk", "state"):
            (self.folder / name).mkdir(parents=True)
        if self.end == "engine-gone":
            self.engine.enter_context(serve(_engine, f"{self.folder}/engine.sock"))
        out = os.open("/dev/full", os.O_WRONLY) if self.end == "stdout-full" else subprocess.PIPE
        with subprocess.Popen(
            self.words(publish.program, layout), env=self.environ(publish.environ), cwd=self.folder, stdout=out,
            stderr=subprocess.PIPE,
        ) as self.child:  # fmt: skip
            yield
        if out != subprocess.PIPE:
            os.close(out)

    def hold_disk(self) -> None:
        """Keep its disk beyond the process."""
        if self.full:
            handle = os.open(f"/proc/{self.running.pid}/root{self.folder}/disk", os.O_RDONLY | os.O_DIRECTORY)
            self.engine.callback(os.close, handle)
            self.disk = Path(f"/proc/self/fd/{handle}")

    def documents(self, pattern: str) -> list[dict[str, Any]]:
        """The files of its journal, or the copy."""
        folder = self.disk if self.disk and self.end == "journal-full" else self.folder / self.state
        return [json.loads(path.read_bytes()) for path in folder.glob(pattern)]


def _engine(request: ServerRequest) -> Answer:
    """An engine that has nothing."""
    documents: dict[str, Any] = {"version": {"ApiVersion": "1.41", "Version": "20.10.24"}, "info": {"DriverStatus": []}}
    document = documents.get(request.path.rpartition("/")[2])
    body = json.dumps(document or {"message": "No such image"}).encode()
    return Answer(200 if document else 404, {"Content-Type": "application/json"}, body)


def _fill(cell: Cell) -> None:
    assert cell.disk
    with suppress(OSError), (cell.disk / "filler").open("wb", buffering=0) as filler:
        while True:
            filler.write(bytes(1024))


def _close_stdout(cell: Cell) -> None:
    assert cell.running.stdout
    cell.running.stdout.close()
    cell.running.stdout = None


def _kill(cell: Cell) -> None:
    cell.running.kill()
    cell.running.wait(30)


def _lose_registry(cell: Cell) -> None:
    cell.gate.gone = True


def _signal(number: int) -> Callable[[Cell], None]:
    return lambda cell: cell.running.send_signal(number)


def _nothing(_cell: Cell) -> None:
    pass


def _wait_for_end(cell: Cell) -> None:
    cell.running.wait(60)


ENDS: Final[dict[str, Callable[[Cell], None]]] = {
    "nothing": _nothing,
    "SIGINT": _signal(signal.SIGINT),
    "SIGTERM": _signal(signal.SIGTERM),
    "SIGTERM-only": _signal(signal.SIGTERM),
    "SIGKILL": _kill,
    "journal-full": _fill,
    "temporary-full": _fill,
    "stdout-full": _nothing,
    "stdout-closed": _close_stdout,
    "engine-gone": lambda cell: cell.engine.close(),
    "registry-gone": _lose_registry,
    "deadline": _wait_for_end,
}
_LIMITED: Final = {"registry-gone", "deadline"}
_SIGNALS: Final = {"SIGINT": 130, "SIGTERM": 143, "SIGTERM-only": 143, "SIGKILL": -9}
_CAUSES: Final = {"journal-full": 1, "registry-gone": 6, "deadline": 6}
_UNSEEN: Final = {"stdout-full", "stdout-closed", "SIGKILL"}
_UNSURE: Final = {"SIGKILL", "registry-gone", "deadline"}


@dataclass
class Shop:
    """The sandbox with 1.0.0 in a repository for each cell, and a layout of 1.1.0."""

    publish: Publish
    folder: Path
    sandbox: Sandbox

    def run(self, moment: str, end: str) -> Cell:
        """Release, end it, and see that everything agrees."""
        gate = Gate(self.sandbox.url.removeprefix("http://"))
        cell = Cell(moment, end, self.folder / f"{moment}-{end}", gate)
        with serve(gate.answer, streams=True) as server:
            gate.host, gate.moment = server.host, moment
            with cell.engine, cell.started(self.publish, self.folder / "new"):
                if not gate.struck.wait(60):
                    cell.running.kill()
                    raise AssertionError(f"{moment} {end}: {cell.running.communicate()}")
                cell.hold_disk()
                ENDS[end](cell)
                gate.go.set()
                out, err = cell.running.communicate(timeout=90)
                cell.stdout, cell.stderr = out or b"", err.decode()
                self.check(cell)
        return cell

    def check(self, cell: Cell) -> None:
        """The one assertion: code, stdout, receipt and registry agree."""
        kept, held = cell.documents("publish/receipts/*.json"), self.tags(cell.name)
        changed = {tag for tag, digest in held.items() if digest != self.before.get(tag)}
        where = f"{cell.moment} {cell.end}: {cell.running.returncode} {cell.stdout!r} {cell.stderr} {kept} {held}"
        assert len(kept) <= 1, where
        assert bool(kept) or not changed, where
        receipt = kept[0] if kept else {"moves": [], "outcome": "failed", "error": None}
        states = {move["reference"].rpartition(":")[2]: move for move in receipt["moves"]}
        for tag, move in states.items():
            is_unsure = move["state"] == "unknown" and cell.end in _UNSURE
            assert is_unsure or move["after"] == held.get(tag), where
        assert changed <= {tag for tag, move in states.items() if move["state"] in {"done", "unknown"}}, where
        assert cell.running.returncode == _code(cell.end, receipt), where
        assert cell.end == "SIGKILL" or all(copy == receipt for copy in cell.documents("receipt.json")), where
        self.check_told(cell, receipt, states, where)

    def check_told(self, cell: Cell, receipt: dict[str, Any], states: dict[str, Any], where: str) -> None:
        """What stdout says, or stderr where that can't be written, is the receipt."""
        code, is_written = cell.running.returncode, any(move["state"] in _WRITTEN for move in states.values())
        assert "Traceback" not in cell.stderr, where
        if cell.end == "SIGKILL":
            assert cell.stdout == b"", where
            return
        if cell.end in _UNSEEN:
            assert all(re.search(rf"^{re.escape(tag)} .* done ", cell.stderr, re.MULTILINE) for tag in states), where
            assert "publish: warning: Stdout " in cell.stderr, where
        else:
            document = json.loads(cell.stdout)
            assert document == receipt if is_written or code == 0 else document["schema"] == "publish.error/1", where
            error = document if document["schema"] == "publish.error/1" else document["error"]
            assert (error["code"] if error else 0) == code, where
        assert code == 0 or not is_written or "un the same command again" in " ".join(cell.stderr.split()), where

    def tags(self, name: str) -> dict[str, str]:
        """What the registry holds."""
        return self.sandbox.store.state().get(name, {})

    @property
    def before(self) -> dict[str, str]:
        """What every repository held."""
        return self.tags("t/untouched")


def _code(end: str, receipt: dict[str, Any]) -> int:
    """What the process has to exit with, by what ended it and what its receipt says."""
    if end in _SIGNALS:
        return _SIGNALS[end]
    if receipt["outcome"] == "done":
        return 0
    is_written = any(move["state"] in _WRITTEN for move in receipt["moves"])
    return 7 if is_written else _CAUSES[end]


@pytest.fixture
def shop(publish: Publish, tmp_path: Path) -> Iterator[Shop]:
    """1.0.0 is released once, and put into every cell's repository."""
    for folder, version in (("old", "1.0.0"), ("new", "1.1.0")):
        make_layout(tmp_path / folder, version)
    with Sandbox() as sandbox:
        image = f"{sandbox.url.removeprefix('http://')}/t/untouched"
        first = publish("release", f"oci:{tmp_path / 'old'}", "--version", "1.0.0", "--image", image)
        assert first.code == 0, first.stderr
        tags = sandbox.store.state()["t/untouched"]
        old = sandbox.store.manifest("t/untouched", Digest.parse(tags["1.0.0"]))
        assert isinstance(old, Manifest)
        for moment, end in product(MOMENTS, ENDS):
            for blob in old.blobs:
                sandbox.store.add_blob(f"t/{moment}-{end.lower()}", blob.digest)
            sandbox.store.put_manifest(f"t/{moment}-{end.lower()}", old, [*tags])
        yield Shop(publish, tmp_path, sandbox)


def test_every_end_at_every_moment(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    """Signals, full disks, a stdout that is gone, an engine or a registry that is gone, the end of the time."""
    # Those that take long go first.
    cells = sorted(product(MOMENTS, ENDS), key=lambda cell: cell[1] not in _LIMITED)
    codes: Counter[int] = Counter()
    failures: list[str] = []
    with ThreadPoolExecutor(8) as pool:
        jobs = [pool.submit(shop.run, *cell) for cell in cells]
        for job in jobs:
            try:
                codes[job.result().running.returncode] += 1
            except AssertionError as failure:
                failures.append(str(failure).partition("\nassert ")[0])
    assert not failures, "\n\n".join(failures)
    with capsys.disabled():
        summary = ", ".join(f"{count} with exit code {code}" for code, count in sorted(codes.items()))
        sys.stdout.write(f"\nended {len(cells)} releases in {len(ENDS)} ways: {summary}; all told true\n")
