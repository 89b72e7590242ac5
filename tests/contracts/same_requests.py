"""Random requests that mean the same to every registry: what each answers can be compared."""

from __future__ import annotations

import hashlib
import json
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import requests

from publisher.model import media

if TYPE_CHECKING:
    from tests.contracts.client import Client

_NAMES: Final = (
    "app",
    "app",
    "app",
    "other",
    "none/there",
    "App",
    "a..b",
    "-a",
    "a/b/c",
    "x" * 300,
    "a_b",
    "a__b",
    "a___b",
)
_TAGS: Final = ("1.0", "1.0", "latest", "2", "_x", "-x", ".x", "a" * 128, "a" * 129, "a b", "ü", "a:b", "%00")
_BLOBS: Final = (b"", b"{}", b'{"architecture":"amd64","os":"linux"}', b"layer", b"another layer", b"x" * 5000)
_CONTENT_TYPES: Final = (
    *(media.OCI_MANIFEST,) * 6, media.OCI_MANIFEST + "; charset=utf-8", media.DOCKER_MANIFEST, media.OCI_INDEX,
    media.DOCKER_INDEX, "", "application/json", "text/plain", "application/octet-stream",
    "application/vnd.docker.distribution.manifest.v1+json", "nonsense",
)  # fmt: skip
_RANGES: Final = ("right", "right", "right", "", "", "gap", "again", "longer", "shorter", "nonsense", "backwards")


def digest_of(content: bytes, algorithm: str = "sha256") -> str:
    """Its digest, as text."""
    return f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"


@dataclass(frozen=True)
class Step:
    """One request. kind: what it is; values: what it is about, the same for each registry."""

    kind: str
    values: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """What came back, as far as registries may be compared by it."""

    status: int
    codes: frozenset[str]
    headers: tuple[str, ...] = ()


class Player:
    """Plays steps against one registry, whose places of uploads are its own."""

    def __init__(self, client: Client, prefix: str) -> None:
        self._client, self._prefix = client, prefix
        self._places: list[str] = []
        self._sizes: dict[str, int] = {}

    def play(self, step: Step) -> Outcome:
        """Send the request; an answer that breaks off has the status 0."""
        try:
            answer: requests.Response = getattr(self, f"_{step.kind}")(**step.values)
        except requests.exceptions.ChunkedEncodingError:
            return Outcome(0, frozenset())
        return Outcome(answer.status_code, _codes(answer), _told(answer))

    def _name(self, name: str) -> str:
        return f"{self._prefix}/{name}"

    def _get(self, method: str, name: str, route: str, **headers: str) -> requests.Response:
        return self._client.request(method, f"/v2/{self._name(name)}/{route}", headers=headers)

    def _begin(self, name: str, **params: str) -> requests.Response:
        if "from" in params:
            params["from"] = self._name(params["from"])
        answer = self._client.start_upload(self._name(name), **params)
        return self._note(answer, 0)

    def _note(self, answer: requests.Response, size: int) -> requests.Response:
        place = answer.headers.get("Location", "")
        if answer.status_code == 202 and "/uploads/" in place:
            self._places.append(place)
            self._sizes[place] = size
        return answer

    def _place(self, back: int) -> str:
        return (
            self._places[-1 - back % len(self._places)]
            if self._places
            else f"/v2/{self._prefix}/app/blobs/uploads/none"
        )

    def _patch(self, back: int, content: bytes, extent: str, kind: str) -> requests.Response:
        place = self._place(back)
        size = self._sizes.get(place, 0)
        headers = {"Content-Type": kind} if kind else {}
        if extent:
            headers["Content-Range"] = _range(extent, size, len(content))
        answer = self._client.request("PATCH", place, data=content, headers=headers)
        return self._note(answer, size + len(content))

    def _finish(self, back: int, content: bytes, digest: str) -> requests.Response:
        return self._client.request("PUT", self._place(back), data=content, params={"digest": digest} if digest else {})

    def _upload(self, name: str, content: bytes) -> requests.Response:
        answer = self._client.start_upload(self._name(name))
        if answer.status_code != 202:
            return answer
        return self._client.request(
            "PUT", answer.headers["Location"], data=content, params={"digest": digest_of(content)}
        )

    def _status(self, method: str, back: int) -> requests.Response:
        return self._client.request(method, self._place(back))

    def _put(self, name: str, target: str, content: bytes, kind: str) -> requests.Response:
        headers = {"Content-Type": kind} if kind else {}
        return self._client.request("PUT", f"/v2/{self._name(name)}/manifests/{target}", data=content, headers=headers)


def _range(extent: str, size: int, length: int) -> str:
    start, end = size, size + length - 1
    return {
        "right": f"{start}-{end}", "gap": f"{start + 5}-{end + 5}", "again": f"{max(start - 1, 0)}-{end - 1}",
        "longer": f"{start}-{end + 5}", "shorter": f"{start}-{end - 1}", "backwards": f"{end}-{start}",
        "nonsense": "some",
    }[extent]  # fmt: skip


def _codes(answer: requests.Response) -> frozenset[str]:
    try:
        return frozenset(str(error["code"]) for error in answer.json()["errors"])
    except (ValueError, KeyError, TypeError):
        return frozenset()


def _told(answer: requests.Response) -> tuple[str, ...]:
    names = ("Docker-Content-Digest", "Range", "Content-Type")
    return tuple(f"{name}: {answer.headers[name]}" for name in names if name in answer.headers) if answer.ok else ()


class Generator:
    """Steps by chance; a seed gives the same again."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def steps(self, count: int) -> list[Step]:
        """So many of them; the common blobs are there in most repositories."""
        pick = self._random.choice
        first = [Step("upload", {"name": name, "content": blob}) for name in ("app", "other") for blob in _BLOBS[1:4]]
        first.append(Step("put", {"name": "app", "target": "1.0", "content": self._good(), "kind": media.OCI_MANIFEST}))
        makers = (
            self._get, self._get, self._tags, self._begin, self._patch, self._patch, self._finish, self._upload,
            self._status, self._put, self._put, self._put, self._delete, self._odd,
        )  # fmt: skip
        return [*first, *(pick(makers)() for _step in range(count))]

    def _good(self, layers: int = 1) -> bytes:
        return json.dumps(self._document(_BLOBS[2], [_BLOBS[3]] * layers)).encode()

    def _document(self, config: bytes, layers: list[bytes]) -> dict[str, Any]:
        def entry(content: bytes, kind: str) -> dict[str, Any]:
            return {"mediaType": kind, "digest": digest_of(content), "size": len(content)}

        return {
            "schemaVersion": 2, "mediaType": media.OCI_MANIFEST, "config": entry(config, media.OCI_CONFIG),
            "layers": [entry(layer, media.OCI_LAYER_GZIP) for layer in layers],
        }  # fmt: skip

    def _manifest(self) -> bytes:
        """One that is good, or one that was changed in one place."""
        pick, chance = self._random.choice, self._random.random
        document = self._document(pick(_BLOBS), [pick(_BLOBS) for _layer in range(self._random.randrange(3))])
        if chance() < 0.4:
            document = self._document(_BLOBS[2], [_BLOBS[3]])
        if chance() < 0.4:
            self._spoil(document)
        if chance() < 0.1:
            entry = {"mediaType": media.OCI_MANIFEST, "digest": digest_of(self._good()), "size": len(self._good())}
            document = {"schemaVersion": 2, "mediaType": media.OCI_INDEX, "manifests": [entry]}
        return json.dumps(document).encode() if chance() < 0.95 else pick((b"", b"[]", b"{", b"null", b"1"))

    def _spoil(self, document: dict[str, Any]) -> None:
        pick = self._random.choice
        place = pick([document, document["config"], *document["layers"]])
        key = pick(sorted(place))
        if self._random.random() < 0.4:
            del place[key]
        else:
            place[key] = pick(
                (None, 0, -1, 1, "", "x", [], {}, True, digest_of(b"missing"), media.OCI_INDEX, "sha256:x")
            )

    def _target(self, content: bytes = b"") -> str:
        pick = self._random.choice
        digests = (
            digest_of(content),
            digest_of(content),
            digest_of(self._good()),
            digest_of(b"missing"),
            "sha256:x",
            "md5:0",
        )
        return pick((pick(_TAGS), pick(_TAGS), pick(digests), "1.0"))

    def _get(self) -> Step:
        pick = self._random.choice
        blob = pick((*map(digest_of, _BLOBS), digest_of(b"missing"), "sha256:", "sha256:x", "md5:0", "nonsense"))
        route = pick((f"blobs/{blob}", f"manifests/{self._target()}"))
        values = {"method": pick(("GET", "HEAD")), "name": pick(_NAMES), "route": route}
        if self._random.random() < 0.2:
            values["Range"] = pick(
                ("bytes=0-1", "bytes=2-", "bytes=-2", "bytes=9999999-", "bytes=3-1", "x", "bytes=0-0,2-2")
            )
        return Step("get", values)

    def _tags(self) -> Step:
        pick = self._random.choice
        query = pick(
            ("", "", "?n=1", "?n=0", "?n=-1", "?n=x", "?n=" + "9" * 5000, "?n=2&last=1.0", "?last=zzz", "?n=", "?x=y")
        )
        return Step("get", {"method": "GET", "name": pick(_NAMES), "route": f"tags/list{query}"})

    def _begin(self) -> Step:
        pick = self._random.choice
        values: dict[str, str] = {"name": pick(_NAMES)}
        if self._random.random() < 0.4:
            values["mount"] = pick((*map(digest_of, _BLOBS), digest_of(b"missing"), "x"))
            values["from"] = pick(_NAMES)
        return Step("begin", values)

    def _patch(self) -> Step:
        pick = self._random.choice
        kinds = ("application/octet-stream", "application/octet-stream", "", "text/plain", "application/json")
        values = {"back": self._back(), "content": pick(_BLOBS), "extent": pick(_RANGES), "kind": pick(kinds)}
        return Step("patch", values)

    def _back(self) -> int:
        return self._random.choice((0, 0, 0, 0, 1, 2, 5))

    def _finish(self) -> Step:
        pick = self._random.choice
        content = pick(_BLOBS)
        digest = pick(
            (digest_of(content), digest_of(content), digest_of(b"missing"), digest_of(content, "sha512"), "", "x")
        )
        return Step("finish", {"back": self._back(), "content": content, "digest": digest})

    def _upload(self) -> Step:
        return Step("upload", {"name": self._random.choice(_NAMES), "content": self._random.choice(_BLOBS)})

    def _status(self) -> Step:
        return Step("status", {"method": self._random.choice(("GET", "GET", "DELETE")), "back": self._back()})

    def _put(self) -> Step:
        content = self._manifest()
        values = {"name": self._random.choice(_NAMES[:4]), "target": self._target(content), "content": content}
        return Step("put", {**values, "kind": self._random.choice(_CONTENT_TYPES)})

    def _delete(self) -> Step:
        route = self._random.choice((f"manifests/{self._target(self._good())}", f"blobs/{digest_of(_BLOBS[5])}"))
        return Step("get", {"method": "DELETE", "name": self._random.choice(_NAMES[:5]), "route": route})

    def _odd(self) -> Step:
        pick = self._random.choice
        route = pick(
            ("manifests/", "blobs/", "tags/", "tags", "blobs/uploads", "blobs/uploads/none", "x", "manifests/1.0/x")
        )
        return Step(
            "get", {"method": pick(("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")), "name": "app", "route": route}
        )
