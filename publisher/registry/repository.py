"""One repository behind the registry API (distribution-spec 1.1)."""

from __future__ import annotations

import io
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from publisher.http.headers import content_length
from publisher.http.message import Request, Response
from publisher.http.pages import PageTrail
from publisher.http.retry import RetryPolicy
from publisher.model import media
from publisher.model.digest import Digest
from publisher.model.errors import BadManifest, Refused, RepositoryMissing, VerificationFailed
from publisher.model.manifest import Content, Descriptor, parse_manifest
from publisher.model.reference import Tag
from publisher.registry.answers import BlobUnknown, DigestPushRefused, ErrorResponse, refusal
from publisher.registry.blobs import BlobReader
from publisher.registry.pages import gather_tags, name_no_tags, pages, tags_of
from publisher.registry.sessions import UploadSessions, stated_digest
from publisher.registry.upload import push_blob, upload_at_once, upload_blob

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from publisher.http.client import Client
    from publisher.http.message import Body
    from publisher.model.artifact import SmallBlob
    from publisher.model.errors import PublishError
    from publisher.model.protocols import Upload
    from publisher.model.reference import Repository, Tag
    from publisher.registry.endpoint import Endpoint

_PAGE: Final = 1000
_BUFFER: Final = 256 * 1024
_SUCCESS: Final = frozenset({200, 201, 202, 204})
_DAMAGED: Final = frozenset({"DIGEST_INVALID", "MANIFEST_INVALID", "MANIFEST_BLOB_UNKNOWN", "MANIFEST_UNKNOWN"})
_DAMAGED_TRIES: Final = 3
_ABSENT_REPOSITORY: Final = frozenset({"NAME_UNKNOWN", "NOT_FOUND"})

_OK: Final = 200
_CREATED: Final = 201
_ACCEPTED: Final = 202
_PARTIAL: Final = 206
_NOT_FOUND: Final = 404
_NOT_ALLOWED: Final = 405


class RemoteRepository:
    """A repository's manifests, tags and blobs. Safe to use from several threads.

    Every method raises Denied, Refused, Unreachable or VerificationFailed (and their kinds) for answers that are
    neither what was asked for nor "absent". retry_policy: the pauses between tries of
    an upload; the client has its own. list_lock: held while a tag that is a list is read, merged and written.
    """

    def __init__(
        self,
        client: Client,
        endpoint: Endpoint,
        retry_policy: RetryPolicy | None = None,
        list_lock: Callable[[str], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        self.repository: Repository = endpoint.repository
        self.endpoint = endpoint
        self._client = client
        self._pull = f"repository:{endpoint.path}:pull"
        self._push = f"repository:{endpoint.path}:pull,push"
        self._delete = f"repository:{endpoint.path}:pull,delete"
        self._needs_push = False
        self.retry_policy = retry_policy or RetryPolicy()
        self.list_lock = list_lock
        self._sessions = UploadSessions(self, self.retry_policy)
        self.early_tag: Tag | None = None
        """What a manifest may be put under where the registry takes none by its digest."""
        self.wrote_early = False
        self.warn: Callable[[str], None] = lambda _text: None
        """Takes what is odd about the repository and stops nobody."""
        self._no_tags = set[str]()
        self.lists_referrers: bool | None = None
        """Whether the registry has the referrers API; None until it was asked."""

    # How requests are made.

    def url(self, path: str) -> str:
        """The address of `path` in this repository."""
        return f"{self._client.base_url(self.endpoint.host)}/v2/{self.endpoint.path}/{path}"

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: Body = None,
        scopes: tuple[str, ...] = (),
        stream: bool = False,
        anonymous: bool = False,
    ) -> Response:
        """Send a request with this repository's scope."""
        self._needs_push = self._needs_push or method in {"POST", "PUT", "PATCH"}
        request = Request(
            method=method,
            url=url,
            headers=headers or {},
            body=body,
            scopes=scopes or (self._push if self._needs_push else self._pull,),
            repository=self.endpoint.path,
            stream=stream,
            anonymous=anonymous,
        )
        return self._client.send(request)

    def error(self, response: Response, what: str, reference: object = None) -> PublishError:
        """The error that `response` means."""
        principal = self._client.principal(self.endpoint.host, self.endpoint.path)
        with response:
            challenge = response.headers.get("WWW-Authenticate", "")
            return refusal(response, what, reference or self.repository, principal, challenge)

    @property
    def is_signed_in(self) -> bool:
        """Whether requests carry credentials."""
        return self._client.has_credentials(self.endpoint.host, self.endpoint.path)

    # Manifests.

    def head(self, target: Tag | Digest) -> Descriptor | None:
        """What `target` is now, or None. A HEAD costs no pull quota on Docker Hub; a GET would."""
        with self.request("HEAD", self.url(f"manifests/{target}"), headers={"Accept": media.ACCEPT}) as response:
            match response.status:
                case 200:
                    descriptor = _descriptor_of(response, target)
                case 404:
                    return None
                case 405:
                    descriptor = None
                case _:
                    raise self.error(response, "reading", self._reference(target))
        if descriptor:
            return descriptor
        content = self.find(target)
        return content.descriptor if content else None

    def find(self, target: Tag | Digest) -> Content | None:
        """The manifest or index under `target`, its bytes hashed; None if there is none."""
        with self.request("GET", self.url(f"manifests/{target}"), headers={"Accept": media.ACCEPT}) as response:
            if response.status == _NOT_FOUND:
                return None
            if response.status != _OK:
                raise self.error(response, "reading", self._reference(target))
            return self._parse_response(response, target)

    def get(self, target: Tag | Digest) -> Content:
        """As `find`; absent is a VerificationFailed."""
        content = self.find(target)
        if content is None:
            reference = self._reference(target)
            raise VerificationFailed(f"{reference} is not in the registry", reference=reference)
        return content

    def _parse_response(self, response: Response, target: Tag | Digest) -> Content:
        digests = (target if isinstance(target, Digest) else None, stated_digest(response))
        for digest in digests:
            if digest and not digest.matches(response.content):
                raise VerificationFailed(
                    f"{self._reference(target)}: the registry's bytes don't have the digest {digest}",
                    reference=self._reference(target),
                )
        try:
            return parse_manifest(response.content, response.headers.get("Content-Type"))
        except BadManifest as error:
            error.reference = self._reference(target)
            raise

    def _reference(self, target: Tag | Digest) -> str:
        return f"{self.repository}{'@' if isinstance(target, Digest) else ':'}{target}"

    def put(self, content: Content, tag: Tag) -> None:
        """Point `tag` at `content`: the whole manifest is sent."""
        with self._put(content, tag) as response:
            match response.status:
                case 200 | 201 | 202 | 204:
                    self._check_digest(response, content, tag)
                # Docker Hub answers 403 to writes of a frozen tag, and was seen to do so after the write took effect.
                case 400 | 403 | 409 | 412 if self._has(tag, content):
                    return
                case _:
                    raise self.error(response, "writing", self._reference(tag))

    def _has(self, tag: Tag, content: Content) -> bool:
        descriptor = self.head(tag)
        return descriptor is not None and descriptor.digest == content.digest

    def put_manifest(self, content: Content) -> None:
        """Send a manifest by its digest; no tag moves.

        Where the registry takes manifests by tag only, it goes under `early_tag`; without one DigestPushRefused is
        raised.
        """
        with self._put(content, content.digest) as response:
            if response.status in _SUCCESS:
                return self._check_digest(response, content, content.digest)
            error = self._digest_push_error(response, content)
        if self.early_tag is None or not isinstance(error, DigestPushRefused):
            raise error
        self.wrote_early = True
        return self.put(content, self.early_tag)

    def _put(self, content: Content, target: Tag | Digest) -> Response:
        """Send the whole manifest; again where it was damaged on its way, which under a tag only the answer tells."""
        headers = {"Content-Type": content.media_type}
        url = self.url(f"manifests/{target}")
        for _try in range(_DAMAGED_TRIES - 1):
            response = self.request("PUT", url, body=content.content, headers=headers)
            if not _is_damaged(response, content):
                return response
            response.close()
        return self.request("PUT", url, body=content.content, headers=headers)

    def _check_digest(self, response: Response, content: Content, target: Tag | Digest) -> None:
        digest = stated_digest(response)
        if digest and not digest.matches(content.content):
            raise VerificationFailed(
                f"{self._reference(target)}: sent {content.digest}, the registry says it holds {digest}",
                reference=self._reference(target),
            )

    def _digest_push_error(self, response: Response, content: Content) -> PublishError:
        details = ErrorResponse.read(response)
        reference = self._reference(content.digest)
        error = self.error(response, "writing", reference)
        by_tag_only = details.codes & {"UNSUPPORTED", "TAG_INVALID"} or details.status == _NOT_ALLOWED
        if by_tag_only or (details.status == _NOT_FOUND and not details.codes):
            hint = "'--allow-early-tag' pushes under the exact tag at once"
            return DigestPushRefused(
                f"{self.repository} takes no manifest by digest: {details.summary}",
                reference=reference,
                hint=hint,
            )
        if "MANIFEST_UNKNOWN" in details.codes:
            return BlobUnknown(f"{reference} lists a manifest that isn't there: {details.summary}", reference=reference)
        return error

    def delete(self, target: Tag | Digest) -> bool:
        """Delete a tag, or a manifest with every tag of it; False if it wasn't there, Refused where it can't be."""
        with self.request("DELETE", self.url(f"manifests/{target}"), scopes=(self._delete,)) as response:
            if response.status == _NOT_FOUND:
                return False
            if response.status in _SUCCESS:
                return True
            error = self.error(response, "deleting", self._reference(target))
            if response.status == 400 and not isinstance(error, Refused):  # noqa: PLR2004 - how 2.8 refuses tags
                reason = ErrorResponse.read(response).summary
                error = Refused(
                    f"the registry can't delete {self._reference(target)}: {reason}", reference=self._reference(target)
                )
            raise error

    # Tags.

    def tags(self) -> tuple[str, ...]:
        """Every tag, all pages; none for a repository that doesn't exist yet."""
        try:
            return self.present_tags()
        except RepositoryMissing:
            return ()

    def present_tags(self) -> tuple[str, ...]:
        """Every tag, all pages; raises RepositoryMissing where there is no such repository."""
        return gather_tags(self._tag_pages(), self._report_no_tags)

    def _report_no_tags(self, names: Sequence[str]) -> None:
        if self._no_tags.issuperset(names):
            return
        self._no_tags.update(names)
        self.warn(name_no_tags(self.repository, names))

    def _tag_pages(self) -> Iterator[list[Any]]:
        trail = PageTrail(f"the list of {self.repository}'s tags", self.repository)
        for page in pages(self.url(f"tags/list?n={_PAGE}"), lambda url: self.request("GET", url), trail):
            if page.status == _NOT_FOUND and ErrorResponse.read(page).codes & _ABSENT_REPOSITORY:
                raise RepositoryMissing(
                    f"there is no repository {self.repository.familiar} at {self.endpoint.host}",
                    reference=self.repository,
                    hint="look at its spelling; the first 'publish release' makes it",
                )
            if page.status != _OK:
                raise self.error(page, "listing the tags of")
            entries = tags_of(page)
            trail.count(len(entries))
            yield entries

    # Blobs.

    def blob_size(self, digest: Digest) -> int | None:
        """The size of a blob that is there, in bytes; None if it isn't."""
        with self.request("HEAD", self.url(f"blobs/{digest}")) as response:
            if response.status == _NOT_FOUND:
                return None
            length = content_length(response.headers)
            if response.status == _OK and length is not None:
                return length
            if response.status not in {_OK, _NOT_ALLOWED}:
                raise self.error(response, "reading", self._reference(digest))
        return self._counted_size(digest)

    def _counted_size(self, digest: Digest) -> int | None:
        with self.request("GET", self.url(f"blobs/{digest}"), stream=True) as response:
            if response.status == _NOT_FOUND:
                return None
            if response.status != _OK:
                raise self.error(response, "reading", self._reference(digest))
            length = content_length(response.headers)
            return sum(map(len, response.stream(_BUFFER))) if length is None else length

    def open_blob(self, descriptor: Descriptor) -> io.BufferedReader:
        """A stream of a blob that checks its digest and size at the end, and survives broken connections."""

        def fetch(offset: int) -> Response:
            headers = {"Range": f"bytes={offset}-"} if offset else {}
            response = self.request("GET", self.url(f"blobs/{descriptor.digest}"), headers=headers, stream=True)
            if response.status not in {_OK, _PARTIAL}:
                raise self.error(response, "reading", self._reference(descriptor.digest))
            return response

        return io.BufferedReader(BlobReader(fetch, descriptor), _BUFFER)

    def mount(self, digest: Digest, origin: Repository) -> bool:
        """Take a blob over from another repository of the same registry; False if the registry doesn't."""
        if origin.registry != self.repository.registry:
            return False
        source = self.endpoint.sibling(origin)
        url = self.url("blobs/uploads/?" + urlencode({"mount": str(digest), "from": source}, safe=":/"))
        # One token for both, the needed one first: some token services read only the first scope.
        with self.request("POST", url, body=b"", scopes=(self._push, f"repository:{source}:pull")) as response:
            if response.status == _ACCEPTED:
                self._sessions.add_spare(response)
            return response.status == _CREATED

    def upload(self, blob: Upload) -> Descriptor:
        """Send a blob; returns once the registry has said that it holds it."""
        return upload_blob(self._sessions, blob)

    def upload_at_once(self, blob: SmallBlob) -> None:
        """Send a small blob in as few requests as the registry takes."""
        upload_at_once(self._sessions, blob)

    def push_blob(self, blob: Descriptor, body: Iterator[memoryview]) -> None:
        """Send a blob that is known beforehand in one request; raises NotTaken where it has to go piece by piece."""
        push_blob(self._sessions, blob, body)

    def prove_push(self, blobs: int = 1) -> None:
        """Open an upload session, which shows the right to push, or one for each of some blobs; they use them."""
        self._sessions.ensure_spare(blobs)

    def close(self) -> None:
        """Cancel sessions that nobody used."""
        self._sessions.close()


def _descriptor_of(response: Response, target: Tag | Digest) -> Descriptor | None:
    """What a HEAD says; None where it says too little. Content is known by sha256, or by the digest asked for."""
    digest = stated_digest(response)
    length = content_length(response.headers)
    if digest is None or length is None or (digest.algorithm != "sha256" and digest != target):
        return None
    if isinstance(target, Digest) and target.algorithm == digest.algorithm and target != digest:
        raise VerificationFailed(f"asked for {target}, the registry answers with {digest}", reference=target)
    kind = response.headers.get("Content-Type", "").partition(";")[0].strip()
    return Descriptor(kind, digest, length)


def _is_damaged(response: Response, content: Content) -> bool:
    """Whether a registry seems to have got other bytes than `content`: it names another digest, or can't read them."""
    if response.status in _SUCCESS:
        digest = stated_digest(response)
        return digest is not None and not digest.matches(content.content)
    return response.status == 400 and bool(ErrorResponse.read(response).codes & _DAMAGED)  # noqa: PLR2004 - bad request
