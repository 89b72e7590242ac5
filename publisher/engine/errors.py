"""What the engine and docker-py say when something fails, in our own words."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import requests
import urllib3
from docker.errors import APIError, InvalidVersion

from publisher.model.errors import Denied, DiskFull, EngineUnavailable, PublishError, SourceNotFound, Unreachable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from publisher.engine.address import Address

BREAKS: Final = (requests.RequestException, urllib3.exceptions.HTTPError, OSError)
"""What a connection that ends too early raises, by the layer that notices."""
_BAD_REQUEST: Final = 400
_NOT_FOUND: Final = 404


@contextmanager
def translated_errors(reference: str) -> Iterator[None]:
    """Turn what the engine and its connection raise into PublishErrors about `reference`."""
    try:
        yield
    except APIError as error:
        raise _api_error(error, reference) from error
    except BREAKS as error:
        raise broken_off(reference, error) from error


@contextmanager
def bad_request_as(refusal: Callable[[str], PublishError]) -> Iterator[None]:
    """Raise `refusal` of the engine's own words where it calls a request bad: what it was asked for makes no sense."""
    try:
        yield
    except APIError as error:
        if error.status_code != _BAD_REQUEST:
            raise
        raise refusal(str(error.explanation)) from error


def broken_off(reference: str, error: Exception) -> Unreachable:
    """The connection ended in the middle."""
    return Unreachable(f"the engine's answer broke off: {error}", reference=reference, hint="see the engine's own log")


def _api_error(error: APIError, reference: str) -> PublishError:
    if error.status_code == _NOT_FOUND:
        return SourceNotFound(f"the engine has no '{reference}'", reference=reference)
    return engine_error(str(error.explanation or error), reference)


def engine_error(text: str, reference: str) -> PublishError:
    """The engine's own words, as the error that they mean."""
    lowercase = text.lower()
    if "no space left" in lowercase or "disk quota exceeded" in lowercase:
        return DiskFull(f"the engine has no room left: {text}", reference=reference, hint="see 'docker system df'")
    if any(words in lowercase for words in ("denied", "unauthorized", "no basic auth", "authentication required")):
        return Denied(f"the engine was refused: {text}", reference=reference)
    return Unreachable(f"the engine failed: {text}", reference=reference)


def unavailable(address: Address, error: Exception) -> EngineUnavailable:
    """Why no engine answers at an address, and what to do."""
    location = f"{address.url} (from {address.origin})"
    text = _chain(error)
    if "PermissionError" in text or "Permission denied" in text:
        return EngineUnavailable(
            f"this user may not use the engine at {location}",
            hint="join its group, as in 'sudo usermod -aG docker $USER', and log in again; or use another DOCKER_HOST",
        )
    if "FileNotFoundError" in text or "No such file" in text:
        return EngineUnavailable(f"there is no engine at {location}", hint="start Docker, or set DOCKER_HOST")
    if "ConnectionRefusedError" in text or "Connection refused" in text:
        return EngineUnavailable(f"{location} refuses connections: no engine listens", hint="is Docker running?")
    if isinstance(error, InvalidVersion):
        return EngineUnavailable(f"the engine at {location} is too old: {error}", hint="update it")
    if "SSL" in text or "CERTIFICATE" in text:
        return EngineUnavailable(f"TLS with the engine at {location} failed: {error}", hint="see DOCKER_CERT_PATH")
    if "imed out" in text:
        return EngineUnavailable(f"the engine at {location} does not answer in time", hint="see 'docker version'")
    return EngineUnavailable(f"the engine at {location} does not answer as one: {error}", hint="see 'docker version'")


def _chain(error: BaseException | None) -> str:
    """The names and words of an error and of all that led to it: docker-py keeps only the words of some."""
    words = []
    while error is not None:
        words.append(repr(error))
        error = error.__cause__ or error.__context__
    return " ".join(words)
