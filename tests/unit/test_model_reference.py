"""Image references: good names and bad ones."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from publisher.model.digest import Digest
from publisher.model.errors import BadReference
from publisher.model.reference import Reference, Repository, Tag

SHA = "sha256:" + "a" * 64
LONG = "sha512:" + "b" * 128


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nginx", "docker.io/library/nginx"),
        ("nginx:1", "docker.io/library/nginx:1"),
        ("ann/app", "docker.io/ann/app"),
        ("docker.io/nginx", "docker.io/library/nginx"),
        ("index.docker.io/nginx:1", "docker.io/library/nginx:1"),
        ("registry-1.docker.io/ann/app", "docker.io/ann/app"),
        ("DOCKER.IO/ann/app", "docker.io/ann/app"),
        ("docker.io", "docker.io/library/docker.io"),
        ("docker.io.evil/a", "docker.io.evil/a"),
        ("ghcr.io/a/b/c/d", "ghcr.io/a/b/c/d"),
        ("GHCR.io/a", "ghcr.io/a"),
        ("localhost/a", "localhost/a"),
        ("localhost:5000/a:b", "localhost:5000/a:b"),
        ("localhost:5000", "docker.io/library/localhost:5000"),
        ("127.0.0.1:5000/a", "127.0.0.1:5000/a"),
        ("[::1]:5000/a:b", "[::1]:5000/a:b"),
        ("[::1]/a", "[::1]/a"),
        ("reg:65535/a", "reg:65535/a"),
        ("a.b/c_d", "a.b/c_d"),
        ("a.b/c__d", "a.b/c__d"),
        ("a.b/c---d", "a.b/c---d"),
        ("a.b/c.d", "a.b/c.d"),
        ("a/b:_x", "docker.io/a/b:_x"),
        ("a/b:A.b-C_d", "docker.io/a/b:A.b-C_d"),
        ("a/b:" + "x" * 128, "docker.io/a/b:" + "x" * 128),
        (f"a/b@{SHA}", f"docker.io/a/b@{SHA}"),
        (f"a/b:1@{SHA}", f"docker.io/a/b:1@{SHA}"),
        (f"a/b@{LONG}", f"docker.io/a/b@{LONG}"),
        ("r.io/" + "a" * 250, "r.io/" + "a" * 250),
    ],
    ids=lambda text: text[:30],
)
def test_good(text: str, expected: str) -> None:
    """What docker takes, in full; reading it again changes nothing."""
    reference = Reference.parse(text)
    assert str(reference) == expected
    assert Reference.parse(str(reference)) == reference
    if text != "docker.io":
        assert Reference.parse(reference.familiar) == reference


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            " ",
            "/",
            "/a",
            "a/",
            "a//b",
            "-x",
            "--help",
            "a/-b",
            "a/b-",
            ".a",
            "a.",
            "a/..",
            "../a",
            "a/../b",
            "a/./b",
        ),
        *(
            "App",
            "ann/App",
            "ghcr.io/Ann/app",
            "a b",
            "a/b c",
            "a\n",
            "a/b\n",
            "a\0",
            "a\tb",
            "a\\b",
            "a?b",
            "a#b",
            "a%2fb",
        ),
        *("a..b", "a___b", "a._b", "ä/b", "nginx\u200b", "g\u0456thub.io/a", "ghcr.io\u3002evil/a", "\uff41/b"),
        *("https://ghcr.io/a", "docker://a", "user@ghcr.io/a", "user:pw@ghcr.io/a", "ghcr.io:/a", "ghcr.io:0/a"),
        *(
            "ghcr.io:65536/a",
            "ghcr.io:x/a",
            "ghcr.io:-1/a",
            "ghcr.io./a",
            ".ghcr.io/a",
            "gh..io/a",
            "-gh.io/a",
            "gh-.io/a",
        ),
        *(
            "[::1/a",
            "::1/a",
            "[g::1]/a",
            "ghcr.io/",
            "localhost/",
            "a:",
            "a:-x",
            "a:.x",
            "a:b/c:",
            "a:b:c",
            "a:x y",
            "a:é",
        ),
        *(
            "a:x\n",
            "a:" + "x" * 129,
            "r.io/" + "a" * 251,
            "a@",
            "a@sha256",
            "a@sha256:",
            "a@md5:" + "a" * 32,
            f"a@{SHA}a",
        ),
        *(
            f"a@{SHA[:-1]}",
            f"a@{SHA.upper()}",
            f"a@{SHA[:-1]}G",
            f"a@{SHA}\n",
            f"a@{SHA}@{SHA}",
            f"@{SHA}",
            "a@sha512:" + "a" * 64,
        ),
        *("a@sha256:../" + "a" * 61, "a@sha256:" + "\u0661" * 64),
    ],
    ids=lambda text: ascii(text)[:30],
)
def test_bad(text: str) -> None:
    """What is no reference is refused with exit code 2 and a printable reason."""
    with pytest.raises(BadReference) as caught:
        Reference.parse(text)
    assert caught.value.exit_code == 2
    assert "\0" not in str(caught.value)


@given(st.text(max_size=40))
def test_any_text(text: str) -> None:
    """Any text is a reference that reads the same again, or is refused."""
    try:
        reference = Reference.parse(text)
    except BadReference:
        return
    assert Reference.parse(str(reference)) == reference
    assert str(reference).isascii()


def test_target() -> None:
    """The digest, else the tag, else latest."""
    digest = Digest.parse(SHA)
    repository = Repository.parse("a/b")
    assert Reference(repository).target == "latest"
    assert repository.tag("1").target == "1"
    assert Reference(repository, Tag("1"), digest).target == digest
    assert str(repository.at(digest)) == f"docker.io/a/b@{SHA}"


@pytest.mark.parametrize(
    ("text", "reason"),
    [("", "empty"), ("x" * 129, "129 characters"), ("-x", "starts with '-'"), ("a b", "may hold only")],
    ids=["empty", "long", "dash", "space"],
)
def test_why_no_tag(text: str, reason: str) -> None:
    """The reason is the precise one."""
    with pytest.raises(BadReference, match=reason):
        Tag.parse(text)


@given(st.binary())
def test_digest_of_content(content: bytes) -> None:
    """A digest matches its content, and reads back from its text."""
    digest = Digest.of(content)
    assert digest.matches(content)
    assert not digest.matches(content + b"x")
    assert Digest.parse(str(digest)) == digest
    assert len(digest.short) == 12
