"""One repository behind the registry API (distribution-spec 1.1)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import quote, urljoin

from publisher.http.message import Request, Response
from publisher.http.origin import Origin
from publisher.model import media
from publisher.model.digest import Digest
from publisher.model.errors import BadReference, Unreachable, VerificationFailed
from publisher.model.manifest import Content, Descriptor, Index, parse_manifest
from publisher.model.reference import Tag
from publisher.registry.answers import Trouble, refusal
from publisher.registry.blobs import BlobReader
from publisher.registry.upload import Sessions, send

if TYPE_CHECKING:
    from publisher.http.client import Client
    from publisher.model.errors import PublishError
    from publisher.model.protocols import Upload
    from publisher.model.reference import Reference, Repository
    from publisher.registry.endpoint import Endpoint

_PAGE = 1000
_MOST_TAGS = 1_000_000


class RemoteRepository:
    """A repository's manifests, tags and blobs. Safe to use from several threads."""

    def __init__(self, client: Client, endpoint: Endpoint) -> None:
        self.repository: Repository = endpoint.repository
        self.endpoint = endpoint
        self._client = client
        self._pull = f"repository:{endpoint.path}:pull"
        self._push = f"repository:{endpoint.path}:pull,push"
        self._delete = f"repository:{endpoint.path}:pull,push,delete"
        self._writes = False
        self._sessions = Sessions(self)
        self._takes_tags: bool | None = None

    # How requests are made.

    def url(self, path: str) -> str:
        """The address of `path` in this repository."""
        return f"{self._client.base_url(self.endpoint.host)}/v2/{self.endpoint.path}/{path}"

    def ask(
        self, method: str, url: str, *, scopes: tuple[str, ...] = (), stream: bool = False, **extra: object
    ) -> Response:
        """Send a request with this repository's scope; credentials stay with its own origin."""
        wanted = scopes or ((self._push if self._writes or method not in {"GET", "HEAD"} else self._pull),)
        request = Request(
            method=method,
            url=url,
            scopes=wanted,
            repository=self.endpoint.path,
            stream=stream,
            **extra,  # type: ignore[arg-type]
        )
        return self._client.send(request)

    def trouble(self, response: Response, what: str, reference: object = None) -> PublishError:
        """The error that `response` means."""
        principal = self._client.principal(self.endpoint.host, self.endpoint.path)
        with response:
            return refusal(response, what, reference or self.repository, principal)

    @property
    def is_signed_in(self) -> bool:
        """Whether requests carry credentials."""
        return self._client.has_credentials(self.endpoint.host, self.endpoint.path)

    # Manifests.

    def head(self, target: Tag | Digest) -> Descriptor | None:
        """What `target` is now, or None. A HEAD costs no pull quota on Docker Hub; a GET would."""
        with self.ask("HEAD", self.url(f"manifests/{target}"), headers={"Accept": media.ACCEPT}) as response:
            if response.status == 404:  # noqa: PLR2004 - absent
                return None
            stated = response.headers.get("Docker-Content-Digest")
            if response.status == 405 or (response.status == 200 and not stated):  # noqa: PLR2004 - not offered
                found = self.find(target)
                return found.descriptor if found else None
            if response.status != 200:  # noqa: PLR2004 - success
                raise self.trouble(response, "reading", self._named(target))
            kind = response.headers.get("Content-Type", "").partition(";")[0]
            return Descriptor(kind, self._digest(stated or ""), int(response.headers.get("Content-Length") or 0))

    def find(self, target: Tag | Digest) -> Content | None:
        """The manifest or index under `target`, its bytes hashed; None if there is none."""
        with self.ask("GET", self.url(f"manifests/{target}"), headers={"Accept": media.ACCEPT}) as response:
            if response.status == 404:  # noqa: PLR2004 - absent
                return None
            if response.status != 200:  # noqa: PLR2004 - success
                raise self.trouble(response, "reading", self._named(target))
            return self._checked(response, target)

    def get(self, target: Tag | Digest) -> Content:
        """As `find`; absent is a VerificationFailed."""
        found = self.find(target)
        if found is None:
            raise VerificationFailed(f"{self._named(target)} is not in the registry", reference=self._named(target))
        return found

    def _checked(self, response: Response, target: Tag | Digest) -> Content:
        found = parse_manifest(response.content, response.headers.get("Content-Type"))
        promises = [target] if isinstance(target, Digest) else []
        if stated := response.headers.get("Docker-Content-Digest"):
            promises.append(self._digest(stated))
        for promise in promises:
            if not promise.matches(found.content):
                raise VerificationFailed(
                    f"{self._named(target)}: the registry's bytes don't have the digest {promise}",
                    reference=self._named(target),
                )
        return found

    def _digest(self, text: str) -> Digest:
        try:
            return Digest.parse(text)
        except BadReference as error:
            raise VerificationFailed(f"the registry states a bad digest: {error.message}") from error

    def _named(self, target: Tag | Digest) -> str:
        return f"{self.repository}{'@' if isinstance(target, Digest) else ':'}{target}"

    def put(self, content: Content, tag: Tag) -> None:
        """Point `tag` at `content`: the whole manifest is sent."""
        self._put(content, tag)

    def put_manifest(self, content: Content) -> None:
        """Send a manifest by its digest; no tag moves."""
        self._put(content, content.digest)

    def _put(self, content: Content, target: Tag | Digest) -> None:
        self._writes = True
        headers = {"Content-Type": content.media_type}
        url = self.url(f"manifests/{target}")
        with self.ask("PUT", url, body=content.content, headers=headers) as response:
            if response.status not in {200, 201, 202, 204}:
                raise self.trouble(response, "writing", self._named(target))
            stated = response.headers.get("Docker-Content-Digest")
        if stated and self._digest(stated) != content.digest:
            raise VerificationFailed(
                f"{self._named(target)}: sent {content.digest}, the registry says {stated}",
                reference=self._named(target),
            )

    def delete(self, target: Tag | Digest) -> bool:
        """Delete a tag, or a manifest with every tag of it; False if it wasn't there."""
        with self.ask("DELETE", self.url(f"manifests/{target}"), scopes=(self._delete,)) as response:
            if response.status == 404:  # noqa: PLR2004 - absent
                return False
            if response.status not in {200, 202, 204}:
                raise self.trouble(response, "deleting", self._named(target))
            return True

    # Tags.

    def tags(self) -> tuple[str, ...]:
        """Every tag, all pages; none for a repository that doesn't exist yet."""
        url = self.url(f"tags/list?n={_PAGE}")
        seen: dict[str, None] = {}
        visited = set[str]()
        while url and url not in visited and len(seen) < _MOST_TAGS:
            visited.add(url)
            with self.ask("GET", url) as response:
                if response.status == 404 and self._is_new(response):  # noqa: PLR2004 - absent
                    return ()
                if response.status != 200:  # noqa: PLR2004 - success
                    raise self.trouble(response, "listing the tags of")
                seen.update(dict.fromkeys(self._page(response)))
                url = self._next(response)
        return tuple(seen)

    def _is_new(self, response: Response) -> bool:
        trouble = Trouble.read(response)
        return not trouble.codes or bool(trouble.codes & {"NAME_UNKNOWN", "NOT_FOUND"})

    def _page(self, response: Response) -> list[str]:
        try:
            document = json.loads(response.content)
            tags = document["tags"] or []
        except (ValueError, KeyError, TypeError) as error:
            raise Unreachable(f"the tag list of {self.repository} can't be read", reference=self.repository) from error
        return [tag for tag in tags if isinstance(tag, str)]

    def _next(self, response: Response) -> str:
        """The next page, on the registry's own origin only: the token goes with it."""
        link = response.headers.get("Link", "")
        if 'rel="next"' not in link.replace("rel=next", 'rel="next"') or not link.startswith("<"):
            return ""
        target = urljoin(response.url, link[1:].partition(">")[0])
        return target if Origin.of(target) == Origin.of(response.url) else ""

    # Blobs.

    def blob_size(self, digest: Digest) -> int | None:
        """The size of a blob that is there, in bytes; None if it isn't."""
        with self.ask("HEAD", self.url(f"blobs/{digest}")) as response:
            if response.status == 404:  # noqa: PLR2004 - absent
                return None
            if response.status != 200:  # noqa: PLR2004 - success
                raise self.trouble(response, "reading", f"{self.repository}@{digest}")
            return int(response.headers.get("Content-Length") or 0)

    def open_blob(self, descriptor: Descriptor) -> BlobReader:
        """A stream of a blob that checks its digest and size at the end."""
        response = self.ask("GET", self.url(f"blobs/{descriptor.digest}"), stream=True)
        if response.status != 200:  # noqa: PLR2004 - success
            raise self.trouble(response, "reading", f"{self.repository}@{descriptor.digest}")
        return BlobReader(response, descriptor)

    def mount(self, digest: Digest, origin: Repository) -> bool:
        """Take a blob over from another repository of the same registry; False if the registry doesn't."""
        self._writes = True
        source = origin.name if self.endpoint.path == self.repository.name else self._sibling(origin)
        url = self.url(f"blobs/uploads/?mount={quote(str(digest), safe=':')}&from={quote(source, safe='/')}")
        with self.ask("POST", url, scopes=(self._push, f"repository:{source}:pull")) as response:
            if response.status == 202:  # noqa: PLR2004 - an ordinary upload has begun
                self._sessions.keep(response)
            return response.status == 201  # noqa: PLR2004 - mounted

    def _sibling(self, origin: Repository) -> str:
        prefix = self.endpoint.path.removesuffix(self.repository.name)
        return f"{prefix}{origin.name}"

    def upload(self, blob: Upload) -> Descriptor:
        """Send a blob; returns once the registry has said that it holds it."""
        self._writes = True
        return send(self._sessions, blob)

    def prove_push(self) -> None:
        """Open an upload session, which shows the right to push; the next upload uses it."""
        self._writes = True
        self._sessions.prepare()

    def close(self) -> None:
        """Cancel a session that nobody used."""
        self._sessions.close()

    # Referrers.

    def referrers(self, digest: Digest) -> tuple[Descriptor, ...]:
        """What refers to `digest`: by the API, else by the tag that stands in for it."""
        with self.ask("GET", self.url(f"referrers/{digest}"), headers={"Accept": media.OCI_INDEX}) as response:
            if response.status == 200:  # noqa: PLR2004 - success
                found: Content | None = parse_manifest(response.content, media.OCI_INDEX)
            else:
                found = self.find(Tag(f"{digest.algorithm}-{digest.hex}"))
        return found.manifests if isinstance(found, Index) else ()


class RemoteImage:
    """An image in a registry, as a source."""

    def __init__(self, remote: RemoteRepository, reference: Reference) -> None:
        self.remote = remote
        self.reference = reference

    def root(self) -> Content:
        """The manifest or index that the reference names."""
        return self.remote.get(self.reference.target)

    def manifest(self, descriptor: Descriptor) -> Content:
        """A manifest that the root lists."""
        return self.remote.get(descriptor.digest)

    def open_blob(self, descriptor: Descriptor) -> BlobReader:
        """A stream of a blob's bytes."""
        return self.remote.open_blob(descriptor)
