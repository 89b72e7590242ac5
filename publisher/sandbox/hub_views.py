"""How Docker Hub's API shows repositories and tags (Docker Hub API 2-beta)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlencode

from publisher.http.headers import read_number
from publisher.model.manifest import Index

if TYPE_CHECKING:
    from starlette.requests import Request

    from publisher.model.manifest import Content, Descriptor
    from publisher.sandbox.store import Store

Item = TypeVar("Item")

_MOST = 100
_LARGEST_CONFIG = 4 << 20


def page(items: list[Item], request: Request) -> dict[str, Any]:
    """One page of a list; `next` and `previous` are absolute."""
    number, size = _number(request, "page", 1), min(_number(request, "page_size", 10), _MOST)
    start = (number - 1) * size

    def link(other: int) -> str:
        query = {**request.query_params, "page": other, "page_size": size}
        return f"{request.url.replace(query='')}?{urlencode(query)}"

    return {
        "count": len(items),
        "next": link(number + 1) if start + size < len(items) else None,
        "previous": link(number - 1) if number > 1 else None,
        "results": items[start : start + size],
    }


def _number(request: Request, name: str, default: int) -> int:
    number = read_number(request.query_params.get(name, ""))
    return default if number is None else max(1, number)


def repository_shape(store: Store, name: str, *, whole: bool = True) -> dict[str, Any]:
    """A repository; lists leave out its README and rules."""
    details = store.details(name)
    space, _, short = name.rpartition("/")
    shape = {
        "name": short,
        "namespace": space,
        "repository_type": "image",
        "status": 1,
        "status_description": "active",
        "description": details.description,
        "is_private": details.is_private,
        "star_count": 0,
        "pull_count": 0,
        "last_updated": max(details.pushed.values(), default=None),
        "date_registered": details.registered,
        "media_types": [],
        "content_types": ["image"],
        "categories": [],
    }
    if not whole:
        return shape
    return shape | {
        "user": space,
        "is_automated": False,
        "collaborator_count": 0,
        "has_starred": False,
        "full_description": details.full_description,
        "permissions": {"read": True, "write": True, "admin": True},
        "immutable_tags_settings": {"enabled": details.immutable, "rules": list(details.rules)},
    }


def tag_shape(store: Store, name: str, tag: str) -> dict[str, Any]:
    """A tag with the platforms that it holds."""
    digest = store.resolve(name, tag)
    content = store.manifest(name, digest) if digest else None
    images = _images(store, name, content) if content else []
    pushed = store.details(name).pushed.get(tag)
    return {
        "id": 1,
        "name": tag,
        "last_updated": pushed,
        "full_size": sum(image["size"] for image in images),
        "images": images,
        "tag_status": "active",
        "tag_last_pulled": None,
        "tag_last_pushed": pushed,
        "v2": True,
        "digest": str(digest) if digest else None,
        "media_type": content.media_type if content else None,
        "content_type": "image",
    }


def _images(store: Store, name: str, content: Content) -> list[dict[str, Any]]:
    if isinstance(content, Index):
        entries = [entry for entry in content.manifests if store.resolve(name, entry.digest)]
        return [_image(store, entry, store.manifest(name, entry.digest)) for entry in entries]
    return [_image(store, content.descriptor, content)]


def _image(store: Store, entry: Descriptor, content: Content) -> dict[str, Any]:
    platform = entry.platform.document() if entry.platform else _config(store, content)
    return {
        "architecture": platform.get("architecture", "unknown"),
        "os": platform.get("os", "unknown"),
        "variant": platform.get("variant"),
        "digest": str(entry.digest),
        "size": 0 if isinstance(content, Index) else sum(blob.size for blob in content.blobs),
        "status": "active",
        "last_pulled": None,
        "last_pushed": None,
    }


def _config(store: Store, content: Content) -> dict[str, Any]:
    """What an image's config says of its platform."""
    if isinstance(content, Index) or content.config.size > _LARGEST_CONFIG:
        return {}
    try:
        config = json.loads(store.blob_store.read(content.config.digest, 0, content.config.size))
    except ValueError:
        return {}
    return config if isinstance(config, dict) else {}
