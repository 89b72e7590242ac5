"""The sandbox as a server: in a thread, until it is told to stop, or for the life of a command."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import os
import signal
import socket
import subprocess
import tarfile
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from publisher.model import media
from publisher.model.digest import Digest
from publisher.model.errors import Unreachable, UsageError
from publisher.model.installation import reinstall_hint
from publisher.model.manifest import Content, Descriptor, Platform, compose_index, compose_manifest
from publisher.sandbox.faults import Faults
from publisher.sandbox.options import Options

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from publisher.sandbox.application import Application
    from publisher.sandbox.page import RunHistory
    from publisher.sandbox.store import Store


NAME: Final = "sandbox/sample"
_PLATFORMS: Final = ("linux/amd64", "linux/arm64")
_WORDS: Final = "This image holds one file, and is there to be released.\n"


def put_sample(store: Store) -> None:
    """Put sandbox/sample:latest there: two platforms, the same bytes each time; what is there already stays."""
    if "latest" in store.state().get(NAME, {}):
        return
    layer = _layer()
    blob = _put_blob(store, _gzip(layer), media.OCI_LAYER_GZIP)
    entries = tuple(_image(store, Platform.parse(text), blob, Digest.of(layer)) for text in _PLATFORMS)
    store.put_manifest(NAME, compose_index(entries), ["latest"])


def _image(store: Store, platform: Platform, layer: Descriptor, diff_id: Digest) -> Descriptor:
    config = {
        "architecture": platform.architecture,
        "os": platform.os,
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": [str(diff_id)]},
    }
    manifest: Content = compose_manifest(_put_blob(store, json.dumps(config).encode(), media.OCI_CONFIG), (layer,))
    store.put_manifest(NAME, manifest, [])
    return Descriptor(manifest.media_type, manifest.digest, len(manifest.content), platform)


def _put_blob(store: Store, content: bytes, kind: str) -> Descriptor:
    upload = store.begin(NAME)
    session = store.session(NAME, upload)
    assert session  # noqa: S101 - begun the line before
    session.blob.append(content)
    digest = Digest.of(content)
    store.finish(upload, digest)
    return Descriptor(kind, digest, len(content))


def _gzip(content: bytes) -> bytes:
    compressed = bytearray(gzip.compress(content, mtime=0))
    compressed[9] = 3  # the system's byte: Python 3.13 says "unknown", those before "Unix"
    return bytes(compressed)


def _layer() -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as archive:
        member = tarfile.TarInfo("README")
        member.size = len(_WORDS)
        archive.addfile(member, io.BytesIO(_WORDS.encode()))
    return raw.getvalue()


_STARTING = 10.0
_MOST_CONNECTIONS: Final = 500
"""And as many requests; each takes a file, of which a process often has 1,024."""
_FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Sandbox:
    """A registry on 127.0.0.1 that runs in a thread.

    port: 0 for a free one. store: a folder that is kept; without one all is gone at the end. faults: see Fault.
    history: the runs that its page shows.
    `requests` are those so far: method, path with query, status (0: hung up), bytes received and sent.
    Raises UsageError for a bad rule, a port or a folder that can't be used, or where what it needs isn't installed.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        store: Path | None = None,
        faults: Sequence[str] = (),
        options: Options | None = None,
        history: RunHistory | None = None,
    ) -> None:
        try:
            from publisher.sandbox.application import Application
        except ImportError as error:
            raise UsageError(
                f"the sandbox needs {error.name}, which is not installed", hint=reinstall_hint()
            ) from error
        from publisher.sandbox.blob_store import FolderBlobStore, MemoryBlobStore
        from publisher.sandbox.store import Store

        options = options or Options()
        rules = Faults(faults)
        with contextlib.ExitStack() as stack:
            self._socket = stack.enter_context(_listen(port))
            self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
            blob_store = stack.enter_context(contextlib.closing(FolderBlobStore(store) if store else MemoryBlobStore()))
            self.store = Store(blob_store, lag=options.lag, list_lag=options.list_lag, collect=options.collect)
            if options.sample:
                put_sample(self.store)
            application = Application(self.url, self.store, options, rules, history)
            self._stack = stack.pop_all()
        self.requests = application.requests
        self._server = _server(application)
        self._thread = threading.Thread(target=self._run, name="sandbox", daemon=True)

    def _run(self) -> None:
        self._server.run(sockets=[self._socket])

    def start(self) -> Self:
        """Start, and wait until requests are answered."""
        self._thread.start()
        deadline = time.monotonic() + _STARTING
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                self.close()
                raise Unreachable("the sandbox did not start", reference=self.url)
            time.sleep(0.005)
        return self

    def close(self) -> None:
        """Stop, and let go of all that is held."""
        self._server.should_exit = True
        self._server.force_exit = True
        if self._thread.is_alive():
            self._thread.join(5)
        self.store.close()
        self._stack.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_error: object) -> None:
        self.close()


def _server(application: Application) -> Any:
    import uvicorn

    from publisher.sandbox.application import Connection

    config = uvicorn.Config(
        application,
        log_config=None,
        access_log=False,
        log_level="error",  # engines try TLS first, which uvicorn warns of; that is no news
        lifespan="off",
        http=Connection,
        loop="asyncio",
        ws="none",
        timeout_keep_alive=60,
        limit_concurrency=_MOST_CONNECTIONS,
        h11_max_incomplete_event_size=64 << 10,
    )
    return uvicorn.Server(config)


def _listen(port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError as error:
        listener.close()
        raise UsageError(
            f"port {port} can't be used: {error.strerror}", hint="leave --port out for a free one"
        ) from error
    return listener


def serve(
    *,
    port: int,
    store: Path | None,
    faults: Sequence[str],
    options: Options,
    ready: Callable[[str], None],
    history: RunHistory | None = None,
) -> None:
    """Run a sandbox until SIGINT or SIGTERM; `ready` gets its URL."""
    stop = threading.Event()
    with (
        Sandbox(port=port, store=store, faults=faults, options=options, history=history) as sandbox,
        _signal_handler((signal.SIGINT, signal.SIGTERM), lambda _number: stop.set()),
    ):
        ready(sandbox.url)
        stop.wait()


def execute(
    command: Sequence[str],
    environ: Mapping[str, str],
    *,
    port: int,
    store: Path | None,
    faults: Sequence[str],
    options: Options | None = None,
    history_in: Callable[[Path], RunHistory] | None = None,
) -> int:
    """Run `command` with everything redirected to a sandbox of its own; returns its exit code, 128+N for signal N.

    history_in: reads the receipts in a folder, for the sandbox's page.
    Raises UsageError where the command can't be started.
    """
    with contextlib.ExitStack() as stack:
        temporary = tempfile.TemporaryDirectory(prefix="publish-sandbox-", ignore_cleanup_errors=True)
        folder = stack.enter_context(temporary)
        history = history_in(_receipts_in(Path(folder), store)) if history_in else None
        sandbox = stack.enter_context(Sandbox(port=port, store=store, faults=faults, options=options, history=history))
        changes = environment(sandbox.url, environ, folder=Path(folder), store=store)
        code = _run(command, {**environ, **changes})
    return code if code >= 0 else 128 - code


def _run(command: Sequence[str], environ: Mapping[str, str]) -> int:
    children: list[subprocess.Popen[bytes]] = []
    early: list[int] = []
    with _signal_handler(
        _FORWARDED, lambda number: _forward(children[0], number) if children else early.append(number)
    ):
        children.append(_start(command, environ))
        for number in early:
            _forward(children[0], number)
        return children[0].wait()


def _start(command: Sequence[str], environ: Mapping[str, str]) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(list(command), env=environ)  # noqa: S603 - what the user asked for
    except FileNotFoundError as error:
        raise UsageError(f"there is no command '{command[0]}'") from error
    except OSError as error:
        raise UsageError(f"'{command[0]}' can't be run: {error.strerror}") from error


def _forward(child: subprocess.Popen[bytes], number: int) -> None:
    """Send a signal to the child, but for a Ctrl-C: the terminal has sent that one to both of us."""
    if number != signal.SIGINT or not _in_foreground():
        child.send_signal(number)


def _in_foreground() -> bool:
    try:
        return os.tcgetpgrp(0) == os.getpgrp()
    except OSError:
        return False


@contextlib.contextmanager
def _signal_handler(numbers: Sequence[signal.Signals], act: Callable[[int], None]) -> Iterator[None]:
    """Signals that are ignored stay so: nohup and shells' background jobs count on it."""
    signals = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
    previous = [(number, signal.signal(number, lambda signal_number, _frame: act(signal_number))) for number in signals]
    try:
        yield
    finally:
        for number, handler in previous:
            signal.signal(number, handler)


def environment(url: str, environ: Mapping[str, str], *, folder: Path, store: Path | None) -> dict[str, str]:
    """What changes in a command's environment, so that it meets the sandbox at `url` and nobody's credentials.

    folder: an empty one that lives as long as the command. Receipts are kept in `store`, if there is one.
    """
    docker = folder / "docker"
    docker.mkdir()
    _copy_contexts(Path(environ.get("DOCKER_CONFIG") or os.path.expanduser("~/.docker")), docker)  # noqa: PTH111 - Path.home raises
    return {
        "PUBLISH_SANDBOX": url,
        "PUBLISH_SANDBOX_STATE": str(_receipts_in(folder, store)),
        "DOCKER_CONFIG": str(docker),
    }


def _receipts_in(folder: Path, store: Path | None) -> Path:
    return (store or folder).absolute() / "receipts"


def _copy_contexts(source: Path, docker: Path) -> None:
    """Docker's contexts and plugins stay in force though the user's credentials are out of sight."""
    for name in ("contexts", "cli-plugins"):
        if (source / name).is_dir():
            (docker / name).symlink_to((source / name).resolve(), target_is_directory=True)
    try:
        current = json.loads((source / "config.json").read_text())["currentContext"]
    except (OSError, ValueError, KeyError, TypeError):
        current = ""
    config = {"currentContext": current} if isinstance(current, str) and current else {}
    (docker / "config.json").write_text(json.dumps(config))
