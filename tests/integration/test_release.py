"""Releases, on real parts, as users run them."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.layout import make_layout
from tests.support.registry import SECRET, USER, RegistryProcess

if TYPE_CHECKING:
    from pathlib import Path

    from publisher.model.manifest import Content
    from tests.support.command import Publish
    from tests.support.engine import EngineProcess


LAYOUT = ["release", "oci:{layout}", "--version", "1.0.0"]


def skopeo_digest(image: str, *words: str) -> str:
    """What an independent client sees."""
    done = subprocess.run(
        ["skopeo", "inspect", "--tls-verify=false", *words, "--format", "{{.Digest}}", f"docker://{image}"],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def states(document: dict[str, Any]) -> dict[str, str]:
    """The tags of a receipt and how each ended."""
    return {move["reference"].rpartition(":")[2]: move["state"] for move in document["moves"]}


def actions(document: dict[str, Any]) -> dict[str, str]:
    """The tags of a plan and what happens to each."""
    return {move["tag"]: move["action"] for move in document["moves"]}


@pytest.mark.parametrize("via", ["direct", "engine"])
@pytest.mark.parametrize("kind", ["open", "htpasswd"])
def test_release_of_a_built_image(
    via: str,
    kind: str,
    engine: EngineProcess,
    registry: RegistryProcess,
    private_registry: RegistryProcess,
    publish_with_engine: Publish,
    name: str,
    tmp_path: Path,
) -> None:
    """Every tag has the same digest for skopeo, and the engine pulls the source's image id back."""
    host = registry.host if kind == "open" else private_registry.host
    image_id = engine.build(f"src-{name[2:]}", f"{via} {kind}", tmp_path / "context")
    given = {"PUBLISH_USERNAME": USER, "PUBLISH_PASSWORD": SECRET} if kind == "htpasswd" else {}
    words = ["release", f"docker-daemon:src-{name[2:]}", "--image", f"{host}/{name}", "--version", "1.2.3"]
    result = publish_with_engine(*words, "--via", via, "--format", "json", environ=given)
    assert result.code == 0, result.stderr
    receipt = result.document
    assert (receipt["outcome"], receipt["via"]) == ("done", via)
    assert states(receipt) == dict.fromkeys(["1.2.3", "1.2", "1", "latest"], "done")
    assert receipt["verification"]["level"] == "pull"
    login = ["--creds", f"{USER}:{SECRET}"] if given else []
    assert {skopeo_digest(f"{host}/{name}:{tag}", *login) for tag in states(receipt)} == {receipt["image"]["digest"]}
    assert receipt["image"]["config" if engine.store == "classic" else "digest"] == image_id
    assert SECRET not in result.stderr + result.stdout


def test_floating_tags_never_move_backwards(
    registry: RegistryProcess, publish: Publish, name: str, tmp_path: Path
) -> None:
    """A maintenance release moves its own line and leaves `1` and `latest` on the newer version."""
    image = f"{registry.host}/{name}"
    digests = {}
    for version in ("1.0.0", "1.1.0", "1.0.1"):
        digests[version] = str(make_layout(tmp_path / version, version))
        result = publish("release", f"oci:{tmp_path / version}", "--image", image, "--version", version)
        assert result.code == 0, result.stderr
    seen = {tag: skopeo_digest(f"{image}:{tag}") for tag in ("1.0", "1.1", "1", "latest", "1.0.0")}
    assert seen == {
        "1.0": digests["1.0.1"],
        "1.1": digests["1.1.0"],
        "1": digests["1.1.0"],
        "latest": digests["1.1.0"],
        "1.0.0": digests["1.0.0"],
    }


def test_same_image_twice_writes_nothing(
    engine: EngineProcess, registry: RegistryProcess, publish_with_engine: Publish, name: str, tmp_path: Path
) -> None:
    """The second release adopts what is there: no upload, no tag written, exit 0."""
    engine.build(f"src-{name[2:]}", name, tmp_path / "context")
    words = ["release", f"docker-daemon:src-{name[2:]}", "--image", f"{registry.host}/{name}", "--version", "1.0.0"]
    assert publish_with_engine(*words).code == 0
    before = len(registry.requests())
    again = publish_with_engine(*words, "--format", "json")
    assert again.code == 0
    assert again.document["adopted"]
    assert set(states(again.document).values()) == {"unchanged"}
    asked = [request for request in registry.requests()[before:] if name in request.path]
    assert {request.method for request in asked} <= {"GET", "HEAD"}


def test_a_tag_made_by_docker_push_is_adopted(
    engine: EngineProcess, registry: RegistryProcess, publish_with_engine: Publish, name: str, tmp_path: Path
) -> None:
    """The engine's own bytes differ from ours; the same image is adopted all the same, and others get its bytes."""
    image = f"{registry.host}/{name}"
    engine.build(f"{image}:1.0.0", name, tmp_path / "context")
    engine.docker("push", f"{image}:1.0.0")
    pushed = skopeo_digest(f"{image}:1.0.0")
    result = publish_with_engine(
        "release", f"{image}:1.0.0", "--image", image, "--version", "1.0.0", "--format", "json"
    )
    assert result.code == 0, result.stderr
    assert result.document["adopted"]
    assert result.document["image"]["digest"] == pushed
    assert skopeo_digest(f"{image}:latest") == pushed


def test_another_image_under_an_exact_tag_is_refused(
    registry: RegistryProcess, publish: Publish, name: str, tmp_path: Path
) -> None:
    """A published version never changes: exit 4, and no tag moved."""
    image = f"{registry.host}/{name}"
    first, second = tmp_path / "first", tmp_path / "second"
    digest = make_layout(first, "first")
    make_layout(second, "second")
    assert publish("release", f"oci:{first}", "--image", image, "--version", "1.0.0").code == 0
    refused = publish("release", f"oci:{second}", "--image", image, "--version", "1.0.0", "--format", "json")
    assert refused.code == 4
    assert refused.document["kind"] == "exact-tag-taken"
    assert {skopeo_digest(f"{image}:{tag}") for tag in ("1.0.0", "1.0", "1", "latest")} == {str(digest)}


def test_index_from_two_pushes(registry: RegistryProcess, publish: Publish, name: str, tmp_path: Path) -> None:
    """Two machines push their platform by digest; one release makes the index and moves the tags."""
    image = f"{registry.host}/{name}"
    parts = []
    for platform in ("linux/arm64", "linux/amd64"):
        folder = tmp_path / platform.replace("/", "-")
        make_layout(folder, "app", (platform,))
        pushed = publish("push", f"oci:{folder}", "--image", image)
        assert pushed.code == 0, pushed.stderr
        parts.append(f"docker://{image}@{pushed.stdout.strip()}")
    released = publish("release", *parts, "--image", image, "--version", "2.0.0", "--format", "json")
    assert released.code == 0, released.stderr
    assert released.document["image"]["platforms"] == ["linux/amd64", "linux/arm64"]


def test_an_index_released_again_is_adopted(
    registry: RegistryProcess, publish: Publish, name: str, tmp_path: Path
) -> None:
    """The same parts once more: nothing is sent and no tag is written."""
    image = f"{registry.host}/{name}"
    sources = []
    for platform in ("linux/arm64", "linux/amd64"):
        folder = tmp_path / platform.replace("/", "-")
        make_layout(folder, "app", (platform,))
        sources.append(f"oci:{folder}")
    words = ["release", *sources, "--image", image, "--version", "2.0.0", "--format", "json"]
    assert publish(*words).code == 0
    before = len(registry.requests())
    again = publish(*words)
    assert again.code == 0, again.stderr
    assert again.document["adopted"]
    assert set(states(again.document).values()) == {"unchanged"}
    assert {asked.method for asked in registry.requests()[before:]} <= {"GET", "HEAD"}


def test_deep_needs_no_engine(registry: RegistryProcess, publish: Publish, name: str, tmp_path: Path) -> None:
    """Every byte is read back and hashed where no engine is at hand to pull it too."""
    make_layout(tmp_path / "layout", "app")
    words = ["release", f"oci:{tmp_path / 'layout'}", "--image", f"{registry.host}/{name}", "--version", "1.0.0"]
    result = publish(*words, "--verify", "deep", "--format", "json")
    assert result.code == 0, result.stderr
    assert result.document["verification"]["bytes"] == result.document["image"]["size"]
    assert result.document["verification"]["pulled"] == "none"
    assert result.document["image"]["platforms"] == ["linux/amd64"]


def test_retag_of_one_platform(registry: RegistryProcess, publish: Publish, name: str, tmp_path: Path) -> None:
    """--platform takes one image out of an index, the second time it is there already; an absent one is refused."""
    image = f"{registry.host}/{name}"
    make_layout(tmp_path / "layout", name, ("linux/amd64", "linux/arm64"))
    assert publish("release", f"oci:{tmp_path / 'layout'}", "--image", image, "--version", "1.0.0").code == 0
    words = ["retag", f"{image}:1.0.0", ":arm", "--platform", "linux/arm64", "--format", "json"]
    kept = tmp_path / "receipt.json"
    first, second = publish(*words), publish(*words, "--receipt", str(kept))
    assert (states(first.document), states(second.document)) == ({"arm": "done"}, {"arm": "unchanged"})
    assert json.loads(kept.read_text())["id"] == second.document["id"]
    wrong = publish("retag", f"{image}:arm", ":other", "--platform", "linux/s390x")
    assert wrong.code == 2, wrong.stderr


def test_errors_show_no_secret(registry: RegistryProcess, publish: Publish, tmp_path: Path) -> None:
    """Not even where a server's own words repeat it, nor in a traceback."""
    from publisher.sandbox.options import Options
    from publisher.sandbox.server import Sandbox

    secret = "canary-4711-secret"
    make_layout(tmp_path / "layout", "app")
    with Sandbox(options=Options(auth=True)) as sandbox:
        host = sandbox.url.removeprefix("http://")
        given = {"PUBLISH_USERNAME": "me", "PUBLISH_PASSWORD": secret, "PUBLISH_REGISTRY": host}
        words = ["release", f"oci:{tmp_path / 'layout'}", "--image", f"{host}/{secret}", "--version", "1.0.0"]
        result = publish("-v", *words, "--format", "json", environ=given)
    assert result.code == 3, result.stderr
    assert secret not in result.stdout + result.stderr


def test_retag_keeps_every_platform(
    registry: RegistryProcess, other_registry: RegistryProcess, publish: Publish, name: str, tmp_path: Path
) -> None:
    """In the repository, to another one (by mount, no layer sent) and to another registry: the same bytes."""
    image = f"{registry.host}/{name}"
    digest = make_layout(tmp_path / "layout", name, ("linux/amd64", "linux/arm64"))
    assert publish("release", f"oci:{tmp_path / 'layout'}", "--image", image, "--version", "1.0.0").code == 0
    before = len(registry.requests())
    far = f"{other_registry.host}/{name}"
    result = publish("retag", f"{image}:1.0.0", ":stable", f"{image}-copy:1.0.0", f"{far}:1.0.0")
    assert result.code == 0, result.stderr
    assert {skopeo_digest(ref) for ref in (f"{image}:stable", f"{image}-copy:1.0.0", f"{far}:1.0.0")} == {str(digest)}
    sent = [
        asked for asked in registry.requests()[before:] if "/blobs/uploads/" in asked.path and asked.method != "POST"
    ]
    assert not sent


@pytest.mark.parametrize(
    ("words", "code", "kind"),
    [
        pytest.param([*LAYOUT, "--image", "{host}/A:b"], 2, "bad-reference", id="bad-reference"),
        pytest.param(["release", "oci:absent", "--image", "{host}/a"], 2, "no-version", id="not-a-git-repository"),
        pytest.param(["release", "oci:no", *LAYOUT[2:], "--image", "{host}/a"], 2, "source-not-found", id="no-source"),
        pytest.param([*LAYOUT, "--version", "1.x", "--image", "{host}/a"], 2, None, id="bad-version"),
        pytest.param([*LAYOUT, "--image", "{closed}/a"], 6, "unreachable", id="registry-down"),
        pytest.param(["release", "app", "--version", "1.0.0", "--image", "{host}/a"], 6, "engine", id="no-engine"),
        pytest.param([*LAYOUT, "--image", "{private}/a"], 3, "denied", id="denied"),
        pytest.param([*LAYOUT, "--image", "{host}/a", "--via", "engine"], 2, "usage", id="engine-for-a-layout"),
        pytest.param([*LAYOUT, "--image", "{host}/a", "--rule", "type=x"], 2, "configuration", id="bad-rule"),
        pytest.param(["retag", "{host}/absent:1", ":2"], 2, "source-not-found", id="retag-of-nothing"),
        pytest.param(["retag", "{host}/absent:1", ":bad tag"], 2, "bad-reference", id="bad-tag"),
    ],
)  # fmt: skip
def test_bad_input_says_what_is_wrong(
    words: list[str],
    code: int,
    kind: str | None,
    registry: RegistryProcess,
    private_registry: RegistryProcess,
    publish: Publish,
    tmp_path: Path,
) -> None:
    """One short paragraph on stderr, one error document on stdout, and its exit code."""
    make_layout(tmp_path / "layout", "app")
    places = {
        "layout": str(tmp_path / "layout"),
        "host": registry.host,
        "private": private_registry.host,
        "closed": "127.0.0.1:1",
    }
    result = publish(*[word.format(**places) for word in words], "--format", "json")
    assert result.code == code, result.stderr
    assert "Traceback" not in result.stderr
    assert result.document["code"] == code
    assert kind in {None, result.document["kind"]}


def test_dirty_tree_is_refused(registry: RegistryProcess, publish: Publish, name: str, tmp_path: Path) -> None:
    """Tracked changes stop a release unless it is told not to mind."""
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "file").write_text("one")
    publish.git("init", "-q", cwd=tree)
    publish.git("add", ".", cwd=tree)
    publish.git("commit", "-qm", "one", cwd=tree)
    publish.git("tag", "v1.0.0", cwd=tree)
    (tree / "file").write_text("two")
    make_layout(tmp_path / "layout", "app")
    words = ["release", f"oci:{tmp_path / 'layout'}", "--image", f"{registry.host}/{name}"]
    refused = publish(*words, "--format", "json", cwd=tree)
    assert (refused.code, refused.document["kind"]) == (4, "dirty-tree")
    allowed = publish(*words, "--allow-dirty", "--format", "json", cwd=tree)
    assert (allowed.code, allowed.document["plan"]["release"]) == (0, "1.0.0")
    there = f"docker://{registry.host}/{name}:1.0.0"
    again = publish("release", there, *words[2:], "--version", "1.0.1", "--format", "json", cwd=tree)
    assert (again.code, again.document["plan"]["release"]) == (0, "1.0.1"), "what is in a registry isn't of this tree"


def test_stale_copy_is_named_and_pulled(
    engine: EngineProcess, registry: RegistryProcess, publish_with_engine: Publish, name: str, tmp_path: Path
) -> None:
    """docker run starts the old copy of a moved tag without asking; the release says so, --pull-local mends it."""
    image = f"{registry.host}/{name}"
    for version in ("1.0.0", "1.1.0"):
        engine.build(f"src-{name[2:]}:{version}", f"I am {version}", tmp_path / version)
    words = ["release", "--image", image]
    assert publish_with_engine(*words, f"src-{name[2:]}:1.0.0", "--version", "1.0.0").code == 0
    engine.docker("pull", "-q", f"{image}:latest")
    moved = publish_with_engine(*words, f"src-{name[2:]}:1.1.0", "--version", "1.1.0")
    assert f"docker pull {image}:latest" in moved.stderr
    run = ["run", "--rm", "--network", "none", f"{image}:latest"]
    assert engine.docker(*run) == "I am 1.0.0"
    stale = publish_with_engine("verify", "--local", f"{image}:latest")
    assert stale.code == 5
    engine.docker("tag", f"src-{name[2:]}:1.0.0", f"{image}:latest")
    engine.build(f"src-{name[2:]}:1.2.0", "I am 1.2.0", tmp_path / "1.2.0")
    pulled = publish_with_engine(*words, f"src-{name[2:]}:1.2.0", "--version", "1.2.0", "--pull-local")
    assert pulled.code == 0, pulled.stderr
    assert engine.docker(*run) == "I am 1.2.0"


def test_repairs_name_stale_copies_too(
    engine: EngineProcess, registry: RegistryProcess, publish_with_engine: Publish, name: str, tmp_path: Path
) -> None:
    """After yank, undo and reconcile moved a tag, the engine's older image under it is named as after a release."""
    image = f"{registry.host}/{name}"
    for version in ("1.0.0", "1.1.0"):
        source = f"src-{name[2:]}:{version}"
        engine.build(source, f"I am {version}", tmp_path / version)
        assert publish_with_engine("release", "--image", image, source, "--version", version).code == 0
    engine.docker("pull", "-q", f"{image}:latest")
    said = f"docker pull {image}:latest"
    assert said in publish_with_engine("yank", "1.1.0", "--image", image).stderr
    engine.docker("pull", "-q", f"{image}:latest")
    assert said in publish_with_engine("undo", "--image", image).stderr
    engine.docker("pull", "-q", f"{image}:latest")
    moved = publish_with_engine("retag", f"{image}:1.0.0", ":latest", "--force")
    assert said in moved.stderr
    assert said not in publish_with_engine("reconcile", "--image", image).stderr
    engine.docker("tag", f"src-{name[2:]}:1.0.0", f"{image}:latest")
    publish_with_engine("retag", f"{image}:1.0.0", ":latest", "--force")
    assert said in publish_with_engine("reconcile", "--image", image).stderr


def test_dry_run_and_plan_write_nothing(registry: RegistryProcess, publish: Publish, name: str, tmp_path: Path) -> None:
    """Both print the plan and leave the registry as it was."""
    make_layout(tmp_path / "layout", "app")
    image = f"{registry.host}/{name}"
    source = f"oci:{tmp_path / 'layout'}"
    for words in (["plan", source], ["release", source, "--dry-run"]):
        result = publish(*words, "--image", image, "--version", "1.0.0", "--format", "json")
        assert result.code == 0, result.stderr
        assert actions(result.document) == dict.fromkeys(["1.0.0", "1.0", "1", "latest"], "create")
    writes = [asked for asked in registry.requests() if name in asked.path and asked.method not in {"GET", "HEAD"}]
    assert not writes


@pytest.mark.parametrize(
    ("fault", "code", "tags"),
    [
        pytest.param("PUT /manifests/sha256 every 505", 6, set(), id="before-the-first-exact-tag"),
        pytest.param("PUT /manifests/latest every 505", 7, {"1.0.0", "1.0", "1"}, id="after-it"),
    ],
)
def test_failure_tells_the_truth_and_a_rerun_finishes(
    fault: str, code: int, tags: set[str], publish: Publish, tmp_path: Path
) -> None:
    """Before the first exact tag nothing changes; after it the table is true, and a rerun finishes."""
    from publisher.sandbox.server import Sandbox

    make_layout(tmp_path / "layout", "app")
    words = ["release", f"oci:{tmp_path / 'layout'}", "--image", "me/app", "--version", "1.0.0", "--format", "json"]
    store = tmp_path / "store"
    with Sandbox(store=store, faults=[fault]) as sandbox:
        failed = publish(*words, environ={"PUBLISH_SANDBOX": sandbox.url})
        assert failed.code == code, failed.stderr
        assert set(sandbox.store.state().get("me/app", {})) == tags
        if code == 7:
            assert {tag for tag, state in states(failed.document).items() if state == "done"} == tags
            assert states(failed.document)["latest"] == "not-done"
    with Sandbox(store=store) as sandbox:
        again = publish(*words, environ={"PUBLISH_SANDBOX": sandbox.url})
        assert again.code == 0, again.stderr
        assert set(sandbox.store.state()["me/app"]) == {"1.0.0", "1.0", "1", "latest"}


def test_content_that_the_registry_lost_is_sent_again(publish: Publish, tmp_path: Path) -> None:
    """A registry may collect what no tag holds before the first tag comes: the release sends it once more."""
    from publisher.model.digest import Digest
    from publisher.sandbox.server import Sandbox

    layout = tmp_path / "layout"
    make_layout(layout, "app")
    blobs = [Digest("sha256", path.name) for path in (layout / "blobs" / "sha256").iterdir()]
    with Sandbox() as sandbox:
        kept = sandbox.store.put_manifest

        def put(name: str, content: Content, tags: list[str], digest: Digest | None = None) -> None:
            kept(name, content, tags, digest)
            if not tags and not lost:
                lost.extend(blobs)

        lost: list[Digest] = []
        sandbox.store.put_manifest = put  # type: ignore[method-assign]
        missing = sandbox.store.missing

        def collected(name: str, content: Content) -> str | None:
            # Three times: the manifest itself may have been damaged on its way, so it goes again first.
            if len(blobs) <= len(lost) < len(blobs) + 3:
                lost.append(lost[0])
                return str(lost[0])
            return missing(name, content)

        sandbox.store.missing = collected  # type: ignore[method-assign]
        words = ["release", f"oci:{layout}", "--image", "me/app", "--version", "1.0.0", "--format", "json"]
        result = publish(*words, environ={"PUBLISH_SANDBOX": sandbox.url})
        assert result.code == 0, result.stderr
        assert "sending it again" in result.stderr
        assert set(sandbox.store.state()["me/app"]) == {"1.0.0", "1.0", "1", "latest"}


def test_options_come_from_the_environment(publish: Publish) -> None:
    """Each option has its variable; repeated ones are one a line."""
    given = {"PUBLISH_PLAN_IMAGE": "me/app\nme/other", "PUBLISH_PLAN_VERSION": "1.0.0", "PUBLISH_PLAN_FORMAT": "json"}
    result = publish("plan", "--offline", environ=given)
    assert result.code == 0, result.stderr
    assert result.document["images"] == ["me/app", "me/other"]


def test_rehearsal_in_one_command(publish: Publish, tmp_path: Path) -> None:
    """`sandbox exec` runs a whole release with no account and no network."""
    make_layout(tmp_path / "layout", "app")
    words = ["publish", "release", f"oci:{tmp_path / 'layout'}", "--image", "me/app", "--version", "1.0.0"]
    result = publish("sandbox", "exec", "--", *words, "--format", "json", environ={"PATH": _path(publish)})
    assert result.code == 0, result.stderr
    assert result.document["sandbox"] is True
    assert json.loads(result.stdout)["outcome"] == "done"


def _path(publish: Publish) -> str:
    import sys
    from pathlib import Path

    return f"{Path(sys.executable).parent}:{publish.environ['PATH']}"
