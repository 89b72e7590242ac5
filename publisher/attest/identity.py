"""Who may have signed: a key, a project's CI, or a person by their login."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from publisher.attest.keys import PublicKey, read_public_key, refuse_services
from publisher.model.errors import UsageError
from publisher.model.value import Value

if TYPE_CHECKING:
    from collections.abc import Callable

_SERVERS: Final = {
    "github.com": "https://token.actions.githubusercontent.com",
    "gitlab.com": "https://gitlab.com",
}
"""The forges whose jobs have an identity, and who vouches for it."""
_GITHUB_PARTS: Final = 2
_PART: Final = re.compile(r"[A-Za-z0-9_.-]+")
_BUILT: Final = ("refs/heads/*", "refs/tags/*")
"""What counts where no ref is named: a pull request's code is anybody's."""
_VIA: Final = " via "


class Certificate(Value, frozen=True, kw_only=True):
    """What a checked certificate says about its owner; empty text where it says nothing.

    name: the subject's alternative name, a workflow's address or an e-mail address. repository: the source's URL.
    """

    name: str
    issuer: str
    repository: str = ""
    ref: str = ""

    def __str__(self) -> str:
        if not self.repository:
            return f"{self.name} via {self.issuer}"
        project = self.repository.removeprefix("https://")
        workflow = self.name.partition("/.github/workflows/")[2].partition("@")[0]
        return f"{project} ({workflow}@{self.ref})" if workflow else f"{project} ({self.ref})"


class ProjectSigner(Value, frozen=True):
    """The CI of one source repository. ref: a pattern of what it built, `*` for any text; "" for branches and tags."""

    project: str
    ref: str = ""

    @property
    def issuer(self) -> str:
        """Who vouches for its jobs."""
        return _SERVERS[self.project.partition("/")[0]]

    def refusal(self, certificate: Certificate) -> str:
        """Why a certificate isn't this one's; empty where it is."""
        if certificate.issuer != self.issuer:
            return f"it was vouched for by {certificate.issuer}, not by {self.issuer}"
        # Neither forge tells names apart by their case.
        if certificate.repository.casefold() != f"https://{self.project}".casefold():
            return f"it was signed by {certificate.repository or certificate.name}, not by {self.project}"
        patterns = (self.ref,) if self.ref else _BUILT
        if not any(_fits(pattern, certificate.ref) for pattern in patterns):
            return f"it was signed for {certificate.ref or 'no ref'}, not for {' or '.join(patterns)}"
        return ""

    def __str__(self) -> str:
        return f"{self.project}@{self.ref}" if self.ref else self.project


class PersonSigner(Value, frozen=True):
    """Whoever an issuer knows by a name, as an e-mail address."""

    name: str
    issuer: str

    def refusal(self, certificate: Certificate) -> str:
        """Why a certificate isn't this one's; empty where it is."""
        if (certificate.name, certificate.issuer) == (self.name, self.issuer):
            return ""
        return f"it was signed by {certificate.name} via {certificate.issuer}, not by {self}"

    def __str__(self) -> str:
        return f"{self.name}{_VIA}{self.issuer}"


Signer = PublicKey | ProjectSigner | PersonSigner


def _fits(pattern: str, ref: str) -> bool:
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), ref, re.DOTALL) is not None


def parse_signer(
    text: str, read_key: Callable[[str], bytes | None], password: Callable[[], bytes | None] = lambda: None
) -> Signer:
    """Read a WHO; raises UsageError where it is none.

    read_key: the content of a key file, or of what `env://NAME` names; None where there is none.
    """
    refuse_services(text)
    host, slash, _rest = text.partition("/")
    if slash and host in _SERVERS:
        return _project(text)
    if _VIA in text:
        return _person(text)
    content = read_key(text)
    if content is None:
        raise UsageError(
            f"'{text}' says nobody who could have signed",
            hint="it takes a key file, github.com/OWNER/REPO[@REF], gitlab.com/GROUP/PROJECT[@REF] or EMAIL via ISSUER",
        )
    return read_public_key(content, text, password)


def _project(text: str) -> ProjectSigner:
    project, at, ref = text.partition("@")
    host, *parts = project.removesuffix(".git").split("/")
    enough = len(parts) == _GITHUB_PARTS if host == "github.com" else len(parts) >= _GITHUB_PARTS
    if not enough or not all(map(_PART.fullmatch, parts)) or (at and not ref.startswith("refs/")):
        raise UsageError(
            f"'{text}' names no project's CI",
            hint=f"write {host}/OWNER/PROJECT, and behind an @ a whole ref, as in @refs/tags/*",
        )
    return ProjectSigner(f"{host}/{'/'.join(parts)}", ref)


def _person(text: str) -> PersonSigner:
    name, _via, issuer = text.partition(_VIA)
    if not name.strip() or not issuer.startswith("https://"):
        raise UsageError(f"'{text}' names nobody", hint="write EMAIL via ISSUER, the issuer's address with https://")
    return PersonSigner(name.strip(), issuer.strip())
