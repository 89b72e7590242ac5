"""An engine's push to a listener of ours, no longer waited for than it is needed."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from publisher.model.errors import PublishError
from publisher.threads import POLL_SECONDS, deferred_signals

if TYPE_CHECKING:
    from publisher.engine.image import EngineImage
    from publisher.registry.relay.listener import PushListener
    from publisher.workflows.session import Session


class EnginePush:
    """A push that goes on in a thread of its own: once all has arrived, its end is a tenth of a second for nothing.

    The name that it is made by is taken away in the engine before the session has closed, however this ends.
    """

    def __init__(self, session: Session, image: EngineImage, listener: PushListener) -> None:
        self.error: PublishError | None = None
        """What the engine says when it has failed."""
        self._session = session
        self._image = image
        self.listener = listener
        self._thread = threading.Thread(target=self._run, name="engine-push", daemon=True)

    def start(self) -> None:
        """Begin, if it hasn't begun."""
        if self._thread.ident is None:
            self._session.at_end.callback(self._close)
            with deferred_signals():
                self._thread.start()

    def wait(self) -> PublishError | None:
        """Push until all has arrived; returns what the engine says where it ends before that."""
        self.start()
        with deferred_signals() as signals:
            while not self.listener.arrived.wait(POLL_SECONDS):
                signals.check()
        return self.error if not self.listener.has_all else None

    def _run(self) -> None:
        try:
            with self.listener:
                self._session.engine.push_named(self._image.id, self.listener.repository, "publish")
        except PublishError as error:
            self.error = error
        finally:
            self.listener.arrived.set()

    def _close(self) -> None:
        """Let it end; one that is no longer wanted is hung up on."""
        if not self.listener.arrived.is_set():
            self.listener.hang_up()
        self._thread.join()
