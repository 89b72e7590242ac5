"""One run: its configuration, its connections, and where it tells what it does."""

from __future__ import annotations

import signal
import threading
import time
from contextlib import ExitStack
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self, TypeVar

from publisher.facts.build_checks import source_root
from publisher.facts.configuration import Configuration, load
from publisher.model.environment import cache_folder
from publisher.model.errors import EngineUnavailable, Interrupted
from publisher.threads import POLL_SECONDS, TimeLimit, Turns, deferred_signals, run_parallel
from publisher.workflows.service_urls import hub_base, sandbox_url

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from publisher.credentials.chain import Chain
    from publisher.engine.connection import Engine
    from publisher.http.client import Client
    from publisher.http.redaction import Redactor
    from publisher.http.retry import RetryPolicy
    from publisher.hub.access import Access
    from publisher.hub.repository import HubPage
    from publisher.model.credential import Credential
    from publisher.model.digest import Digest
    from publisher.model.facts import Facts
    from publisher.model.protocols import CredentialSource, Progress, TagRun
    from publisher.model.reference import Repository
    from publisher.model.settings import Settings
    from publisher.planning.rules import Ruleset
    from publisher.receipts.journal import Journal
    from publisher.registry.repository import RemoteRepository
    from publisher.transfer.cache import BlobCache
    from publisher.workflows.destination import Destination

Item = TypeVar("Item")
Result = TypeVar("Result")

READ_DELAYS: Final = (0.2, 0.5, 1.0, 2.0, 4.0)
"""Seconds between two reads of what was just written: a registry may show the old a little longer, Docker Hub's than
its API."""


class Session:
    """What a workflow needs of the world; everything is opened at its first use and closed together.

    environ: the environment variables. directory: where the command runs. config: `--config`.
    credential: the one given by `--username` and `--password-stdin`.
    trace: takes one redacted line for each HTTP request.
    """

    threads = 32
    """Thirty platforms at once, and a little: on a long line a second round takes as long as the first."""

    def __init__(
        self,
        environ: Mapping[str, str],
        directory: Path,
        progress: Progress,
        *,
        config: str | None = None,
        credential: Credential | None = None,
        trace: Callable[[str], None] | None = None,
        redactor: Redactor | None = None,
    ) -> None:
        self.environ = environ
        self.directory = directory
        self.progress = progress
        self._config = config
        self._credential = credential
        self._trace = trace
        self._redactor = redactor
        self._interrupted = threading.Event()
        self._interrupt: BaseException | None = None
        self._destinations: frozenset[str] = frozenset()
        self._accesses: dict[Credential | None, Access] = {}
        self._remotes: dict[tuple[Repository, bool], RemoteRepository] = {}
        self._opening = threading.Lock()
        self.turns = Turns()
        """Of what only one image of a run can have at a time, such as a port of this machine."""
        self._seen: dict[str, Digest] = {}
        self._clients: list[Client] = []
        self.time_limit = TimeLimit(0, self._cut)
        self.records: list[TagRun] = []
        """The runs that have come to their tags: whatever happens then, they are told."""
        self.takes_password = credential is not None
        """Whether standard input has brought a password."""
        self.stdin_archive: Path | None = None
        """Where the archive that came on standard input is, once it was asked for."""
        self.at_end = ExitStack()
        """What is to be done before the connections are closed."""
        self.sandbox = sandbox_url(environ.get("PUBLISH_SANDBOX", ""))
        self.is_anonymous = bool(environ.get("PUBLISH_ANONYMOUS"))  # as for a run about a stranger's code

    @cached_property
    def _retry_policy(self) -> RetryPolicy:
        from publisher.http.retry import RetryPolicy

        return RetryPolicy(sleep=self.pause)

    @property
    def retry_policy(self) -> RetryPolicy:
        """How long to try, and by which clock."""
        return self._retry_policy

    def redact(self, text: str) -> str:
        """`text` without the run's secrets."""
        return self._redactor(text) if self._redactor else text

    @cached_property
    def configuration(self) -> Configuration:
        """The configuration file, or the defaults."""
        return load(Path(self._config) if self._config else None, self.directory, self.environ)

    @property
    def source_root(self) -> Path:
        """What the configuration may send away lies in here: the repository around it, as git gives it."""
        return source_root(self.configuration.folder, self.environ).resolve()

    @property
    def settings(self) -> Settings:
        """What the configuration says."""
        return self.configuration.settings

    @cached_property
    def facts(self) -> Facts:
        """What git and the CI say."""
        from publisher.facts.gather import gather

        return gather(self.directory, self.environ)

    def aim(self, destinations: Iterable[Repository]) -> None:
        """Name repositories that are written to: environment credentials without a host belong to theirs."""
        self._destinations |= {repository.registry for repository in destinations}

    @cached_property
    def credentials(self) -> Chain:
        """Who we are at each registry; in a sandbox its own user, and nobody else; for PUBLISH_ANONYMOUS nobody."""
        from publisher.credentials.chain import Chain
        from publisher.credentials.docker_config import DockerConfig
        from publisher.credentials.environment import CommandLineCredential, EnvironmentCredentials, SandboxCredentials
        from publisher.credentials.logins import Logins, index_file
        from publisher.credentials.oidc import OidcCredentials
        from publisher.receipts.atomic import write_atomically

        if self.sandbox or self.is_anonymous:
            return Chain((SandboxCredentials(),) if self.sandbox else (), self._trace)
        sources: list[CredentialSource] = [
            EnvironmentCredentials(self.environ, self._destinations),
            OidcCredentials(self.environ, lambda: self._anonymous_client, self.learn),
            Logins(index_file(self.environ), write_atomically),
            DockerConfig(self.environ),
        ]
        if self._credential:
            sources.insert(0, CommandLineCredential(self._credential, self._destinations))
        return Chain(sources, self._trace)

    @cached_property
    def client(self) -> Client:
        """The way to all registries."""
        return self.client_with(self.credentials.find)

    @cached_property
    def _anonymous_client(self) -> Client:
        return self.client_with(lambda _registry, _repository: None)

    def saw(self, held: Mapping[str, Digest]) -> None:
        """Note what tags were seen to hold."""
        self._seen.update(held)

    def seen_versions(self) -> dict[Digest, str]:
        """Which version a digest is, as far as this run has seen, and a version's tag says without any rules."""
        from publisher.planning.version import version_of

        return {digest: str(version) for tag, digest in self._seen.items() if (version := version_of(tag))}

    def learn(self, secret: str) -> None:
        """Take a secret out of all that is printed from now on."""
        if self._redactor:
            self._redactor.learn(secret)

    def reveals(self, text: str) -> bool:
        """Whether a secret of this run stands in it, in any form."""
        return self._redactor is not None and self._redactor.knows_part_of(text)

    def client_with(self, find: Callable[[str, str], Credential | None]) -> Client:
        """A way to registries, with credentials of its own; to be closed."""
        from publisher.http.client import Client
        from publisher.http.tls import HostSettings

        tables = self.settings.registry

        def settings_of(host: str) -> HostSettings:
            return HostSettings.gather(host, tables.get(host), self.configuration.folder)

        client = Client(find, settings_of, trace=self._trace, redactor=self._redactor, retry_policy=self._retry_policy)
        self._clients.append(client)
        return client

    def limit_time(self, seconds: float, alarm: Callable[[float], None] | None = None) -> None:
        """The run has `seconds` from now on, 0: as long as it takes. alarm: as in TimeLimit."""
        self.time_limit = TimeLimit(seconds, self._cut, alarm)
        self.time_limit.start()

    def _cut(self) -> None:
        self.stop(Interrupted(signal.SIGALRM).as_error())
        for client in tuple(self._clients):
            client.cut()

    def remote(self, repository: Repository, *, anonymous: bool = False) -> RemoteRepository:
        """The repository behind its registry's API."""
        from publisher.receipts.journal import take_turns
        from publisher.registry.endpoint import locate
        from publisher.registry.repository import RemoteRepository

        key, client = (repository, anonymous), self._anonymous_client if anonymous else self.client
        with self._opening:
            if key not in self._remotes:
                turns = partial(take_turns, cache_folder(self.environ) / "locks", self.pause, str(repository))
                remote = RemoteRepository(client, locate(repository, self.sandbox), self._retry_policy, turns)
                remote.warn = remote.warn if anonymous else self.progress.warn
                self._remotes[key] = remote
            return self._remotes[key]

    def destination(self, repository: Repository, ruleset: Ruleset | None = None) -> Destination:
        """A repository to work on; `aim` comes first, as it says whose credentials are used."""
        from publisher.planning.rules import Ruleset
        from publisher.workflows.destination import Destination

        return Destination(self.remote(repository), ruleset or Ruleset(()), lambda: self.hub(repository))

    def hub(self, repository: Repository) -> HubPage:
        """The repository's page on Docker Hub, as whoever we are there."""
        from publisher.hub.repository import HubPage

        credential = self.credentials.find(repository.registry, repository.name)
        usable = None if credential and credential.registry_only else credential
        return HubPage(self.hub_access(usable), repository)

    def hub_access(self, credential: Credential | None) -> Access:
        """Docker Hub's API as one user; signed in once."""
        from publisher.hub.access import Access

        if credential not in self._accesses:
            base = hub_base(self.environ, self.sandbox)
            self._accesses[credential] = Access(self._anonymous_client, base, credential, self.learn)
        return self._accesses[credential]

    @cached_property
    def engine(self) -> Engine:
        """The container engine; raises EngineUnavailable."""
        from publisher.engine.connection import Engine

        return Engine.connect(self.environ)

    @cached_property
    def engine_at_hand(self) -> Engine | None:
        """The container engine, where one answers."""
        from publisher.engine.address import Address

        try:
            return None if Address.find(self.environ).is_empty else self.engine
        except EngineUnavailable:
            return None

    def engine_name(self, repository: Repository) -> str:
        """What the engine calls a repository: in a sandbox, its place there."""
        if not self.sandbox:
            return repository.familiar
        endpoint = self.remote(repository).endpoint
        return f"{endpoint.host}/{endpoint.path}"

    def engine_credential(self, repository: Repository) -> Credential | None:
        """What the engine may pull with; in a sandbox it needs nothing."""
        return None if self.sandbox else self.credentials.find(repository.registry, repository.name)

    @cached_property
    def journal(self) -> Journal:
        """Where the receipts of this machine are kept; a rehearsal's are kept apart."""
        from publisher.receipts.journal import Journal, receipts_folder

        return Journal(receipts_folder(self.environ), self._temporary_state)

    def _temporary_state(self) -> Path:
        """Where receipts go in a run without any folder of its user's; it is left there."""
        from tempfile import mkdtemp

        folder = Path(mkdtemp(prefix="publish-state-"))
        self.progress.warn(f"there is no home folder: the receipt goes to {folder}; XDG_STATE_HOME names a lasting one")
        return folder

    @cached_property
    def blob_cache(self) -> BlobCache:
        """What this machine remembers of layers that it sent; a rehearsal's apart from the rest."""
        from publisher.transfer.cache import BlobCache

        name = "sandbox-blobs.jsonl" if self.sandbox else "blobs.jsonl"
        return BlobCache(cache_folder(self.environ) / name)

    def tell(self, text: str) -> None:
        """A line for `--verbose`."""
        if self._trace:
            self._trace(text)

    def stop(self, error: BaseException) -> None:
        """Begin nothing else: whoever waits raises `error`."""
        self._interrupt = self._interrupt or error
        self._interrupted.set()

    def parallel(
        self, work: Callable[[Item], Result], items: Iterable[Item], threads: int | None = None
    ) -> list[Result]:
        """Do `work` on each item side by side; results in order, the first error raised once all have ended.

        On an interrupt what is under way is finished and nothing else begins. threads: at most so many at once.
        """

        def on_stop(error: BaseException) -> None:
            if isinstance(error, Interrupted | KeyboardInterrupt):
                self.stop(error)

        return run_parallel(
            work,
            items,
            threads=min(threads or self.threads, self.threads),
            name="publish",
            finish_all=True,
            on_stop=on_stop,
        )

    def pause(self, seconds: float) -> None:
        """A pause before another try or look; an interrupt ends it, so that only a request under way is waited for."""
        with deferred_signals() as signals:
            end = time.monotonic() + seconds
            while (left := end - time.monotonic()) > 0 and not self._interrupted.wait(min(left, POLL_SECONDS)):
                signals.check()
        if self._interrupt:
            raise self._interrupt

    def temporary_folder(self) -> Path:
        """A folder that goes with the run."""
        from tempfile import TemporaryDirectory

        return Path(self.at_end.enter_context(TemporaryDirectory(prefix="publish-", ignore_cleanup_errors=True)))

    def read_until(self, read: Callable[[], Result], is_settled: Callable[[Result], bool]) -> Result:
        """What `read` returns once it is settled, or at the end of a bounded wait: a registry's reads may lag."""
        result = read()
        for seconds in READ_DELAYS:
            if is_settled(result):
                break
            self.pause(seconds)
            result = read()
        return result

    def close(self) -> None:
        """End and remove what was needed meanwhile, cancel upload sessions nobody used, close the connections."""
        self.time_limit.stop()
        opened = [self.__dict__[name] for name in ("client", "_anonymous_client", "engine") if name in self.__dict__]
        for one in (self.at_end, *self._remotes.values(), *opened):
            try:
                one.close()
            except Exception as error:
                if not any(record.is_under_way for record in self.records):
                    raise
                self.progress.warn(f"what the run had open could not be closed: {error}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()
