"""The suite's client: plain requests, and no retries."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urljoin

import requests

from publisher.model import media
from publisher.model.digest import Digest
from publisher.model.manifest import Descriptor, compose_manifest

if TYPE_CHECKING:
    from publisher.model.manifest import Content, Manifest


class Client:
    """Asks one server."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._session = requests.Session()
        self._session.trust_env = False

    def request(
        self,
        method: str,
        path: str,
        *,
        data: bytes = b"",
        headers: dict[str, str] | None = None,
        params: dict[str, Any] | None = None,
    ) -> requests.Response:
        """Send one request; `path` may be a Location."""
        return self._session.request(
            method,
            urljoin(self._url, path),
            data=data,
            headers={"Accept": media.ACCEPT, **(headers or {})} if "/manifests/" in path else headers,
            params=params,
            timeout=30,
            allow_redirects=False,
        )

    def start_upload(self, name: str, **params: str) -> requests.Response:
        """Open an upload."""
        return self.request("POST", f"/v2/{name}/blobs/uploads/", params=params)

    def send_blob(self, name: str, content: bytes, kind: str = "application/octet-stream") -> Descriptor:
        """Upload a blob in one PUT."""
        digest = Digest.of(content)
        opened = self.start_upload(name)
        done = self.request("PUT", opened.headers["Location"], data=content, params={"digest": str(digest)})
        assert done.status_code == 201, done.text
        return Descriptor(kind, digest, len(content))

    def make_image(self, name: str, text: str, annotations: dict[str, str] | None = None) -> Manifest:
        """Upload config and layer of an image; its manifest is composed, not sent."""
        config = self.send_blob(
            name, json.dumps({"architecture": "amd64", "os": "linux", "x": text}).encode(), media.OCI_CONFIG
        )
        layer = self.send_blob(name, f"layer of {text}".encode(), media.OCI_LAYER_GZIP)
        return compose_manifest(config, (layer,), annotations)

    def put(self, name: str, reference: object, content: Content | bytes, kind: str = "") -> requests.Response:
        """Put a manifest."""
        raw = content if isinstance(content, bytes) else content.content
        stated = kind or (media.OCI_MANIFEST if isinstance(content, bytes) else content.media_type)
        return self.request("PUT", f"/v2/{name}/manifests/{reference}", data=raw, headers={"Content-Type": stated})

    def send_image(self, name: str, text: str, *tags: str) -> Manifest:
        """Upload an image, by digest and under `tags`."""
        image = self.make_image(name, text)
        for reference in (image.digest, *tags):
            assert self.put(name, reference, image).status_code == 201
        return image

    def tags(self, name: str, **params: object) -> list[str]:
        """The tags of a repository, as one answer has them."""
        answer = self.request("GET", f"/v2/{name}/tags/list", params=params)
        assert answer.status_code == 200, answer.text
        return list(answer.json()["tags"] or [])

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


def codes(answer: requests.Response) -> set[str]:
    """The error codes of an answer; it has to have the specification's form."""
    assert answer.headers["Content-Type"].partition(";")[0] == "application/json"
    return {error["code"] for error in answer.json()["errors"]}
