"""Fulcio and Rekor: a certificate for a job's identity, and the public log's receipt for what it has signed.

Source: sigstore/fulcio, fulcio.proto (v2, signingCert); sigstore/rekor, openapi.yaml (v1, createLogEntry).
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urljoin, urlsplit

import msgspec

from publisher.http.message import Request
from publisher.http.retry import is_temporary
from publisher.model.errors import ConfigError, Denied, Unreachable
from publisher.model.value import Value

if TYPE_CHECKING:
    from collections.abc import Mapping

    from publisher.http.client import Client
    from publisher.http.message import Response
    from publisher.http.retry import RetryPolicy

_LONGEST: Final = 300.0
"""Seconds, for all requests of one release to both services."""
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0
_JSON: Final = {"Content-Type": "application/json", "Accept": "application/json"}
_REFUSED: Final = frozenset({400, 401, 403})
_SUCCESS: Final = frozenset({200, 201})
_OK, _CONFLICT = 200, 409


class Services(Value, frozen=True):
    """Where both are."""

    fulcio: str = "https://fulcio.sigstore.dev"
    rekor: str = "https://rekor.sigstore.dev"

    @classmethod
    def in_sandbox(cls, url: str) -> Services:
        """The sandbox's look-alikes."""
        return cls(f"{url}/sigstore", f"{url}/sigstore")

    @classmethod
    def read(cls, content: bytes) -> Services:
        """Read a signing config; raises ConfigError, and Unreachable where it offers only what isn't spoken here."""
        try:
            config = msgspec.json.decode(content, type=_SigningConfig)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise ConfigError(f"the signing config can't be read: {error}") from error
        authority = next((one.url for one in config.caUrls if one.majorApiVersion == 1), None)
        log = next((one.url for one in config.rekorTlogUrls if one.majorApiVersion == 1), None)
        if authority is None or log is None:
            raise Unreachable("the signing config offers no Fulcio 1 and Rekor 1: it needs a newer publish")
        return cls(authority.rstrip("/"), log.rstrip("/"))


class _Service(msgspec.Struct):
    url: str
    majorApiVersion: int  # noqa: N815 - as it is written


class _SigningConfig(msgspec.Struct):
    caUrls: tuple[_Service, ...]  # noqa: N815 - as it is written
    rekorTlogUrls: tuple[_Service, ...]  # noqa: N815 - as it is written


class SigstoreClient:
    """Speaks to both services, within one deadline. client: sends without any credential."""

    def __init__(self, client: Client, services: Services, policy: RetryPolicy) -> None:
        self._client, self._services, self._policy = client, services, policy
        self._until: float | None = None

    @property
    def log(self) -> str:
        """The public log's address."""
        return self._services.rekor

    def certificate(self, token: str, request: bytes) -> tuple[bytes, ...]:
        """A certificate in PEM, and the chain above it, for a signing request in PEM; raises Denied."""
        body = {"certificateSigningRequest": base64.b64encode(request).decode()}
        headers = {**_JSON, "Authorization": f"Bearer {token}"}
        with self._send("POST", f"{self._services.fulcio}/api/v2/signingCert", body, headers) as response:
            if response.status in _REFUSED:
                raise Denied(
                    f"{self._host(self._services.fulcio)} gives this job no certificate: {_said(response)}",
                    reference=self._services.fulcio,
                    hint="the job needs 'permissions: id-token: write'; on GitLab an id_token with aud: sigstore",
                )
            certificates = _path(_object(response), "signedCertificateEmbeddedSct", "chain", "certificates")
        if (
            response.status not in _SUCCESS
            or not isinstance(certificates, list)
            or not all(isinstance(x, str) for x in certificates)
        ):
            raise self._strange(self._services.fulcio, response)
        return tuple(certificate.encode() for certificate in certificates)

    def record(self, envelope: Mapping[str, Any], certificate: bytes) -> dict[str, Any]:
        """Put an envelope into the public log, for good; its entry, as it stands in a bundle.

        Whoever sends the same once more, as after an answer that got lost, is given the entry that is there.
        """
        proposed = {
            "envelope": json.dumps(envelope, separators=(",", ":")),
            "verifiers": [base64.b64encode(certificate).decode()],
        }
        return self._record("dsse", {"proposedContent": proposed})

    def record_hash(self, digest: str, signature: bytes, certificate: bytes) -> dict[str, Any]:
        """Put the signature of a file into the public log, as cosign's older form wants it. digest: SHA-256 in hex."""
        public = {"content": base64.b64encode(certificate).decode()}
        spec = {
            "data": {"hash": {"algorithm": "sha256", "value": digest}},
            "signature": {"content": base64.b64encode(signature).decode(), "publicKey": public},
        }
        return self._record("hashedrekord", spec)

    def _record(self, kind: str, spec: Mapping[str, Any]) -> dict[str, Any]:
        body = {"apiVersion": "0.0.1", "kind": kind, "spec": spec}
        url = f"{self._services.rekor}/api/v1/log/entries"
        with self._send("POST", url, body, _JSON) as response:
            location = response.headers.get("Location", "")
        if response.status == _CONFLICT and location:
            with self._send("GET", urljoin(url, location), None, _JSON) as response:
                pass
        if response.status not in _SUCCESS:
            raise self._strange(self._services.rekor, response)
        try:
            return _log_entry(_object(response))
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise self._strange(self._services.rekor, response) from error

    def _send(self, method: str, url: str, body: object, headers: Mapping[str, str]) -> Response:
        """Send until there is an answer that isn't temporary, or the deadline is over."""
        host = urlsplit(url).netloc
        self._client.base_url(host)
        raw = None if body is None else json.dumps(body).encode()
        request = Request(method=method, url=url, headers=headers, body=raw, anonymous=True, bare=True)
        until = self._until = self._until or self._policy.clock() + _LONGEST
        pause = _FIRST_PAUSE
        while True:
            answer = self._try(request)
            if not isinstance(answer, Unreachable) and not is_temporary(answer.status, answer.content):
                return answer
            if self._policy.clock() + pause > until:
                raise self._late(host, answer)
            self._policy.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _try(self, request: Request) -> Response | Unreachable:
        try:
            return self._client.send(request)
        except Unreachable as error:
            return error

    def _late(self, host: str, answer: Response | Unreachable) -> Unreachable:
        why = answer.message if isinstance(answer, Unreachable) else f"HTTP {answer.status}"
        return Unreachable(
            f"{host} gives no answer: {why}",
            reference=host,
            hint="no tag was moved: run the same command again, it finishes; a key needs no such service",
        )

    def _strange(self, url: str, response: Response) -> Unreachable:
        host = self._host(url)
        return Unreachable(f"{host} answers what is not understood (HTTP {response.status})", reference=host)

    def _host(self, url: str) -> str:
        return urlsplit(url).netloc


def read_trust(client: Client, sandbox: str) -> bytes:
    """The sandbox's own root of trust."""
    client.base_url(urlsplit(sandbox).netloc)
    request = Request(method="GET", url=f"{sandbox}/sigstore/trusted_root.json", anonymous=True, bare=True)
    with client.send(request) as response:
        if response.status != _OK:
            raise Unreachable(f"the sandbox gives no root of trust (HTTP {response.status})", reference=sandbox)
        return response.content


def _object(response: Response) -> dict[str, Any]:
    try:
        document = json.loads(response.content)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _path(document: object, *keys: str) -> object:
    for key in keys:
        document = document.get(key) if isinstance(document, dict) else None
    return document


def _said(response: Response) -> str:
    message = _path(_object(response), "message")
    return str(message)[:300] if message else f"HTTP {response.status}"


def _log_entry(answer: Mapping[str, Any]) -> dict[str, Any]:
    """Rekor speaks hexadecimal and numbers, bundles base64 and texts. Source: protobuf-specs, sigstore_rekor.proto."""
    ((_uuid, entry),) = answer.items()
    kind = json.loads(base64.b64decode(entry["body"]))
    proof = entry["verification"]["inclusionProof"]
    return {
        "logIndex": str(int(entry["logIndex"])),
        "logId": {"keyId": _base64(entry["logID"])},
        "kindVersion": {"kind": kind["kind"], "version": kind["apiVersion"]},
        "integratedTime": str(int(entry["integratedTime"])),
        "inclusionPromise": {"signedEntryTimestamp": entry["verification"]["signedEntryTimestamp"]},
        "inclusionProof": {
            "logIndex": str(int(proof["logIndex"])),
            "rootHash": _base64(proof["rootHash"]),
            "treeSize": str(int(proof["treeSize"])),
            "hashes": [_base64(one) for one in proof["hashes"]],
            "checkpoint": {"envelope": proof["checkpoint"]},
        },
        "canonicalizedBody": entry["body"],
    }


def _base64(text: str) -> str:
    return base64.b64encode(bytes.fromhex(text)).decode()
