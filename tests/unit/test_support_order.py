"""The monitors that look at every trace and state: what they must not let pass."""

from __future__ import annotations

import pytest

from publisher.model.manifest import Descriptor, Index, compose_index
from tests.support.order import LoggedRequest, check_order, check_state
from tests.support.seed import put_image, put_versions
from tests.support.simulation import World

NAME = "acme/app"
DIGEST = f"sha256:{'a' * 64}"
BLOB = f"/v2/{NAME}/blobs/uploads/x?digest=sha256:{'b' * 64}"


def put(target: str, name: str = NAME) -> LoggedRequest:
    return LoggedRequest("PUT", f"/v2/{name}/manifests/{target}", 201)


def look(target: str, name: str = NAME) -> LoggedRequest:
    return LoggedRequest("HEAD", f"/v2/{name}/manifests/{target}", 200)


LIST = LoggedRequest("GET", f"/v2/{NAME}/tags/list?n=1000", 200)
SENT = [LoggedRequest("PUT", BLOB, 201), put(DIGEST), look(DIGEST)]
GOOD = [*SENT, put("1.0.0"), LIST, put("1.0"), put("1"), put("latest"), LIST]


def test_a_release_in_order_passes() -> None:
    """Its writes are counted; what was refused is no write; another round of floating tags may follow."""
    assert check_order(GOOD, None) == 6
    assert (
        check_order([LoggedRequest("PUT", f"/v2/{NAME}/manifests/latest", 503), *GOOD, put("1"), put("latest")], None)
        == 8
    )


@pytest.mark.parametrize(
    "trace",
    [
        pytest.param([*SENT, put("1.0"), put("1.0.0")], id="floating-before-exact"),
        pytest.param([*SENT, put("1.0.0"), put("latest"), put("1.0")], id="latest-not-last"),
        pytest.param([*SENT, put("1.0.0"), LoggedRequest("PUT", BLOB, 201)], id="blob-after-tag"),
        pytest.param([*SENT, put("1.0.0"), put(DIGEST)], id="manifest-after-tag"),
        pytest.param([*SENT[:2], put("1.0.0")], id="not-read-back"),
        pytest.param([*SENT, put("1.0.0"), put("1.0"), put("1.0.0", "b/b")], id="floating-before-the-other's-exact"),
        pytest.param([*SENT, put("1.0.0"), put(DIGEST, "b/b")], id="content-after-the-other's-exact"),
    ],
)
def test_a_release_out_of_order_does_not(trace: list[LoggedRequest]) -> None:
    """Each rule of the order."""
    with pytest.raises(AssertionError):
        check_order(trace, None)


def test_children_come_before_their_index_and_blobs_before_manifests() -> None:
    """What a manifest needs is looked up in the store."""
    with World() as world:
        image = put_image(world, NAME, "app")
        index = compose_index((Descriptor(image.media_type, image.digest, len(image.content)),))
        assert isinstance(index, Index)
        world.put(NAME, index)
        blob = LoggedRequest("PUT", f"/v2/{NAME}/blobs/uploads/x?digest={image.config.digest}", 201)
        child, parent = put(str(image.digest)), put(str(index.digest))
        assert check_order([blob, child, parent], world.store) == 3
        for trace in ([child, blob], [parent, child]):
            with pytest.raises(AssertionError):
                check_order(trace, world.store)


def test_states() -> None:
    """A floating tag on content without its exact tag, and a tag on content that has gone."""
    with World() as world:
        put_versions(world, NAME, ["1.0.0"])
        check_state(world.store, NAME)
        image = put_image(world, NAME, "stranger", "1")
        with pytest.raises(AssertionError, match="without an exact tag"):
            check_state(world.store, NAME)
        check_state(world.store, NAME, sole=False)
        world.store.drop_blob(NAME, image.layers[0].digest)
        with pytest.raises(AssertionError, match="not there"):
            check_state(world.store, NAME, sole=False)
