"""Answers: the specification's errors, and what has been created."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response

from publisher.model.printable import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from publisher.model.digest import Digest

_CODES = {401: "UNAUTHORIZED", 403: "DENIED", 404: "NOT_FOUND", 405: "UNSUPPORTED", 429: "TOOMANYREQUESTS"}


class Refusal(Exception):
    """An error answer in the specification's form (distribution-spec, "Error codes")."""

    def __init__(
        self, status: int, code: str, message: str, *, headers: Mapping[str, str] | None = None, detail: Any = None
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, printable(message)
        self.headers, self.detail = headers, detail

    def response(self) -> Response:
        """The answer."""
        error = {"code": self.code, "message": self.message, "detail": self.detail}
        return JSONResponse({"errors": [error]}, self.status, headers=self.headers)


def ordered(status: int, seconds: float) -> Response:
    """The answer of a fault; `seconds` are its Retry-After, 0 for none."""
    headers = {"Retry-After": f"{seconds:g}"} if seconds else None
    return Refusal(status, _CODES.get(status, "UNKNOWN"), "this fault was ordered", headers=headers).response()


def created(location: str, digest: Digest, headers: Mapping[str, str] | None = None) -> Response:
    """201: content is there."""
    return Response(
        status_code=201, headers={"Location": location, "Docker-Content-Digest": str(digest), **(headers or {})}
    )
