"""Docker Hub around a release, rehearsed: settings, description, creation, and what a release asks first."""

from __future__ import annotations

import base64
import os
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from publisher.sandbox.options import Options, User
from publisher.sandbox.server import Sandbox
from tests.support.layout import make_layout

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.support.command import Publish, Result

VERSIONS = r"^[0-9]+\.[0-9]+\.[0-9]+$"
README = "# App\n\nSee [the docs](docs/a.md).\n"


class Shop:
    """A project whose image is rehearsed on Docker Hub."""

    def __init__(self, publish: Publish, folder: Path, sandbox: Sandbox) -> None:
        self._publish, self.folder, self.sandbox = publish, folder, sandbox
        self.write('description = "A small app"')

    def write(self, hub: str) -> None:
        """Write [hub] anew."""
        (self.folder / "publish.toml").write_text(f'images = ["acme/app"]\n[hub]\n{hub}\n')

    def run(self, *words: str, environ: dict[str, str] | None = None) -> Result:
        """Run publish in the project."""
        environ = {"PUBLISH_SANDBOX": self.sandbox.url, **(environ or {})}
        return self._publish(*words, cwd=self.folder, environ=environ)

    def release(self, version: str) -> Result:
        """Release an image of its own as that version."""
        make_layout(self.folder / "layout" / version, version)
        return self.run("release", f"oci:layout/{version}", "--version", version, "--format", "json")

    @property
    def page(self) -> Any:
        """What Docker Hub knows of the repository."""
        return self.sandbox.store.details("acme/app")

    @property
    def tags(self) -> dict[str, str]:
        """What each tag holds."""
        return self.sandbox.store.state().get("acme/app", {})


@pytest.fixture
def shop(publish: Publish, tmp_path: Path) -> Iterator[Shop]:
    """A project with a README, and a sandbox that is empty."""
    publish.git("init", "-q", cwd=tmp_path)
    publish.git("remote", "add", "origin", "https://github.com/acme/app.git", cwd=tmp_path)
    (tmp_path / ".gitignore").write_text("layout\npublish.toml\n")
    (tmp_path / "README.md").write_text(README)
    publish.git("add", ".", cwd=tmp_path)
    publish.git("commit", "-q", "-m", "first", cwd=tmp_path)
    with Sandbox() as sandbox:
        yield Shop(publish, tmp_path, sandbox)


def test_describe_shows_the_difference_and_applies_it(shop: Shop) -> None:
    """README with absolute links, and the short description; the second time nothing is left to do."""
    assert shop.run("hub", "describe").code == 4
    assert shop.run("hub", "create").code == 0
    dry = shop.run("hub", "describe", "--dry-run")
    assert (dry.code, "+# App" in dry.stdout, shop.page.full_description) == (0, True, "")
    done = shop.run("hub", "describe", "--format", "json")
    assert (done.document["schema"], done.document["applied"]) == ("publish.hub/1", True)
    assert shop.page.full_description == README.replace("docs/a.md", "https://github.com/acme/app/blob/HEAD/docs/a.md")
    assert shop.run("hub", "describe", "--format", "json").document["changes"] == []


def test_an_empty_readme_wipes_nothing_unasked(shop: Shop) -> None:
    """The page keeps what it has, and the warning names the setting that would empty it."""
    shop.run("hub", "create")
    shop.run("hub", "describe")
    text = shop.page.full_description
    (shop.folder / "README.md").write_bytes(b"\xef\xbb\xbf \n")
    shop.write('description = "A small app"')
    kept = shop.run("hub", "describe")
    assert (kept.code, "README.md is empty" in kept.stderr) == (0, True)
    assert (shop.page.full_description, shop.page.description) == (text, "A small app")
    shop.write('readme = ""')
    assert shop.run("hub", "describe").code == 0
    assert (text != "", shop.page.full_description) == (True, "")


def test_a_readme_is_cut_and_measured_in_bytes(shop: Shop) -> None:
    """Without its byte order mark; the warning says how long it was."""
    shop.run("hub", "create")
    rows = "".join(f"| 1.{number}.0 | {'x' * 60} |\n" for number in range(600))
    text = f"# App\n\n## Tags\n\n| tag | digest |\n|---|---|\n{rows}\n## Licence\n\nMIT\n"
    (shop.folder / "README.md").write_text(text, encoding="utf-8-sig")
    done = shop.run("hub", "describe")
    assert done.code == 0, done.stderr
    assert f"README.md has {len(text):,} bytes" in done.stderr
    page = shop.page.full_description
    assert page.startswith("# App")
    assert 24_000 < len(page.encode()) <= 25_000


def test_create_makes_it_private(shop: Shop) -> None:
    """As [hub] says, and never twice."""
    shop.write('private = true\ndescription = "A small app"')
    assert shop.run("hub", "create", "--format", "json").document["changes"][0]["after"] == "private"
    assert (shop.page.is_private, shop.page.description) == (True, "A small app")
    assert shop.run("hub", "create", "--format", "json").document["changes"] == []


def test_settings_need_yes_and_are_read_back(shop: Shop) -> None:
    """The difference first; keys that [hub] leaves out stay."""
    shop.run("hub", "create")
    assert shop.run("hub", "settings", "--dry-run").code == 2
    shop.write(f"immutable = ['{VERSIONS}']")
    assert shop.run("hub", "settings").code == 2
    dry = shop.run("hub", "settings", "--dry-run")
    assert (dry.code, f"+{VERSIONS}" in dry.stdout, shop.page.immutable) == (0, True, False)
    assert shop.run("hub", "settings", "-y").code == 0
    assert (shop.page.rules, shop.page.immutable, shop.page.is_private) == ((VERSIONS,), True, False)
    shop.write("immutable = []\nprivate = true")
    assert shop.run("hub", "settings", "-y").code == 0
    assert (shop.page.immutable, shop.page.is_private) == (False, True)


def test_a_rule_that_freezes_floating_tags_is_warned_of(shop: Shop) -> None:
    """It would keep latest where it is for ever."""
    shop.run("hub", "create")
    shop.write("immutable = ['.*']")
    assert "freezes tags such as latest" in shop.run("hub", "settings", "--dry-run").stderr


def test_limits(publish: Publish) -> None:
    """What the headers say, or that there are none; asking costs nothing."""
    with Sandbox(options=Options(pull_limit=7)) as sandbox:
        for _ in range(2):
            found = publish("hub", "limits", "--format", "json", environ={"PUBLISH_SANDBOX": sandbox.url}).document
            assert (found["limit"], found["remaining"], found["window"]) == (7, 7, 21600)
    with Sandbox() as sandbox:
        assert "no limit" in publish("hub", "limits", environ={"PUBLISH_SANDBOX": sandbox.url}).stdout


def test_a_release_creates_the_repository_and_describes_it(shop: Shop) -> None:
    """With create and on-release."""
    shop.write('create = true\nprivate = true\non-release = true\ndescription = "A small app"')
    result = shop.release("1.0.0")
    assert result.code == 0, result.stderr
    assert (shop.page.is_private, shop.page.description) == (True, "A small app")
    assert "github.com/acme/app" in shop.page.full_description


def test_a_description_that_fails_is_a_warning(shop: Shop) -> None:
    """The release is done all the same."""
    shop.write('on-release = true\ndescription = "A small app"\nreadme = "ABSENT.md"')
    result = shop.release("1.0.0")
    assert (result.code, set(shop.tags)) == (0, {"1.0.0", "1.0", "1", "latest"})
    assert "the description on Docker Hub was not updated" in result.stderr


def test_a_plan_that_a_rule_would_freeze_is_refused(shop: Shop) -> None:
    """Before anything is sent, with rule and tag; versions alone may be frozen."""
    assert shop.release("1.0.0").code == 0
    shop.write(f"immutable = ['{VERSIONS}']")
    assert shop.run("hub", "settings", "-y").code == 0
    assert shop.release("1.1.0").code == 0
    shop.write("immutable = ['^latest$']")
    assert shop.run("hub", "settings", "-y").code == 0
    before, asked = shop.tags, len(shop.sandbox.requests)
    result = shop.release("1.2.0")
    assert (result.code, result.document["kind"], shop.tags) == (4, "immutable", before)
    assert "docker.io/acme/app:latest" in result.stderr
    assert "'^latest$'" in result.stderr
    sent = [one for one in shop.sandbox.requests[asked:] if one["method"] in {"PUT", "PATCH"}]
    assert not sent
    assert shop.run("release", "oci:layout/1.2.0", "--version", "1.2.0", "--dry-run").code == 4


def test_rules_that_cannot_be_read_are_a_warning(shop: Shop, publish: Publish) -> None:
    """The registry takes a push without the API."""
    assert shop.release("1.0.0").code == 0
    with Sandbox(faults=["GET /v2/namespaces/ every 403"]) as sandbox:
        shop.sandbox = sandbox
        assert shop.release("1.0.0").code == 0
        assert shop.release("1.1.0").code == 0


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("https://hub.docker.com", None),
        ("http://127.0.0.1:1", 6),
        ("http://hub.example", 2),
        ("https://x@hub.docker.com", 2),
    ],
)
def test_the_api_is_docker_hubs_or_near(publish: Publish, url: str, code: int | None) -> None:
    """A secret goes there: no other host may be named."""
    if code is None:
        from publisher.workflows.service_urls import hub_base

        assert hub_base({"PUBLISH_HUB_URL": url}, None) == url
        return
    given = {"PUBLISH_HUB_URL": url, "DOCKERHUB_USERNAME": "me", "DOCKERHUB_TOKEN": "x"}
    result = publish("hub", "create", "--image", "acme/app", environ=given)
    assert result.code == code, result.stderr


def test_hub_is_about_docker_hub(publish: Publish) -> None:
    """Other registries have no such page."""
    result = publish("hub", "describe", "--image", "localhost:5000/app")
    assert (result.code, "on Docker Hub" in result.stderr) == (2, True)


def test_a_weak_token_is_told_what_it_lacks(shop: Shop) -> None:
    """Read & Write pushes, and doesn't change settings."""
    with Sandbox(options=Options(users={"sandbox": User("sandbox", scope="repo:write")})) as sandbox:
        shop.sandbox = sandbox
        assert shop.release("1.0.0").code == 0
        result = shop.run("hub", "describe")
    assert result.code == 3
    assert "repo:admin" in result.stderr


def test_errors_are_json_where_the_environment_asks_for_it(publish: Publish) -> None:
    """Each command of the group has a variable of its own."""
    result = publish("hub", "describe", "--image", "localhost:1/a", environ={"PUBLISH_HUB_DESCRIBE_FORMAT": "json"})
    assert (result.code, result.document["kind"]) == (2, "usage")


@pytest.mark.parametrize("kind", ["outside", "environ", "endless", "fifo", "large", "circle", "folder"])
@pytest.mark.parametrize("is_default", [True, False], ids=["default", "configured"])
def test_a_readme_is_a_file_of_the_repository(kind: str, is_default: bool, shop: Shop, tmp_path: Path) -> None:
    """What came with the sources publishes none of this machine's other files; exit 2, and nothing of it is shown."""
    secret = tmp_path.parent / f"{tmp_path.name}-config.json"
    secret.write_text('{"auths": "c4nary"}')
    readme = shop.folder / "README.md"
    readme.unlink()
    match kind:
        case "large":
            readme.write_text("x" * ((1 << 20) + 1))
        case "fifo":
            os.mkfifo(readme)
        case "folder":
            readme.mkdir()
        case _:
            targets = {"outside": str(secret), "environ": "/proc/self/environ", "endless": "/dev/zero"}
            readme.symlink_to(targets.get(kind, "README.md"))
    if not is_default:
        shop.write('readme = "README.md"')
    shop.run("hub", "create")
    result = shop.run("hub", "describe", environ={"CANARY": "c4nary"})
    assert result.code == 2, result
    assert "c4nary" not in result.stdout + result.stderr
    assert shop.page.full_description == ""


def test_a_readme_behind_a_link_within_the_repository(shop: Shop) -> None:
    """Links are followed as long as they stay inside."""
    (shop.folder / "docs").mkdir()
    (shop.folder / "README.md").rename(shop.folder / "docs" / "README.md")
    (shop.folder / "README.md").symlink_to("docs/README.md")
    assert shop.run("hub", "describe").code == 4
    assert shop.run("hub", "create").code == 0
    assert shop.run("hub", "describe", "-y").code == 0
    assert "# App" in shop.page.full_description


@pytest.mark.parametrize("form", [str, lambda text: base64.b64encode(text.encode()).decode(), quote])
@pytest.mark.parametrize("where", ["readme", "description"])
def test_a_text_with_a_secret_is_refused(where: str, form: Callable[[str], str], shop: Shop) -> None:
    """A secret that this run knows, in any form: exit 4, and it is not told."""
    secret = "c4nary+/secret=of this run"
    (shop.folder / "README.md").write_text(f"# App\n\nLog in with {form(secret) if where == 'readme' else ''}.\n")
    shop.write(f'description = "{form(secret) if where == "description" else ""}"')
    shop.run("hub", "create")
    result = shop.run("hub", "describe", environ={"PUBLISH_PASSWORD": secret, "PUBLISH_USERNAME": "me"})
    assert result.code == 4
    assert "a secret of this run stands in the" in " ".join(result.stderr.lower().split())
    assert form(secret) not in result.stdout + result.stderr
    assert shop.page.full_description == ""
