"""What runs of ours have left in an engine, found by their label, and taken away."""

from __future__ import annotations

import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from docker.errors import NotFound

from publisher.engine.aside import finished
from publisher.engine.refusal import spoken
from publisher.engine.running import LABEL
from publisher.model.errors import PublishError

if TYPE_CHECKING:
    from collections.abc import Callable

    from publisher.engine.connection import Engine

_ROUNDS: Final = 20
_PAUSE: Final = 0.25
_WHAT: Final = "what runs of publish have left"


class Leftovers:
    """Containers, volumes, networks and images with our label: of one run, or of all."""

    def __init__(self, engine: Engine, run: str | None = None) -> None:
        self._api: Any = engine.api
        self._label = f"{LABEL}={run}" if run else LABEL

    def found(self) -> dict[str, list[str]]:
        """Their names, by kind."""
        return {kind: list(named.values()) for kind, named in self._labelled().items()}

    def clean(self) -> dict[str, list[str]]:
        """Take them away, and nothing else; their names, by kind. An interrupt waits for the end of it."""
        return finished(self._clean)

    def _clean(self) -> dict[str, list[str]]:
        """Again where something is still there: an engine may be busy with what it is asked to remove."""
        first = found = self._labelled()
        for again in range(_ROUNDS):
            problem = self._remove(found)
            found = self._labelled()
            if not any(found.values()):
                break
            if again == _ROUNDS - 1 and problem:
                raise problem
            time.sleep(_PAUSE)
        return {kind: list(named.values()) for kind, named in first.items()}

    def _remove(self, found: dict[str, dict[str, str]]) -> PublishError | None:
        """One round; the first thing that could not be removed doesn't keep the others."""
        works: list[Callable[[], object]] = []
        works += [partial(self._api.remove_container, one, v=True, force=True) for one in found["containers"]]
        works += [partial(self._api.remove_volume, one, force=True) for one in found["volumes"]]
        works += [partial(self._api.remove_network, one) for one in found["networks"]]
        works += [partial(self._api.remove_image, one, force=True) for one in found["images"]]
        problem: PublishError | None = None
        for work in works:
            try:
                with spoken(_WHAT), suppress(NotFound):
                    work()
            except PublishError as error:
                problem = problem or error
        return problem

    def _labelled(self) -> dict[str, dict[str, str]]:
        """Names by id, by kind."""
        chosen = {"label": self._label}
        with spoken(_WHAT):
            containers = self._api.containers(all=True, filters=chosen)
            volumes = self._api.volumes(filters=chosen).get("Volumes") or ()
            networks = self._api.networks(filters=chosen)
            images = self._api.images(filters=chosen)
        return {
            "containers": {one["Id"]: str(one["Names"][0]).lstrip("/") for one in containers},
            "volumes": {one["Name"]: str(one["Name"]) for one in volumes},
            "networks": {one["Id"]: str(one["Name"]) for one in networks},
            "images": {one["Id"]: str((one.get("RepoTags") or [one["Id"]])[0]) for one in images},
        }
