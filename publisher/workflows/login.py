"""Sign in, out, and say who one is: a credential is proven before it is stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from publisher.credentials.docker_config import config_file, helper_of, key_of, plain_logins, store_with
from publisher.credentials.docker_config_file import HELPER, DockerConfigFile
from publisher.credentials.environment import EnvironmentCredentials
from publisher.credentials.logins import DockerLogins, Logins, index_file
from publisher.http.message import Request
from publisher.model.credential import Present
from publisher.model.errors import BadReference, Denied, PublishError, Refused, Unreachable, UsageError
from publisher.model.reference import DOCKER_HUB, Repository
from publisher.model.value import Document, Value
from publisher.receipts.atomic import write_atomically
from publisher.registry.endpoint import locate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from publisher.http.client import Client
    from publisher.model.credential import Credential
    from publisher.workflows.session import Session

_OK: Final = 200
_REFUSED: Final = frozenset({401, 403})
_KINDS: Final = {
    "dckr_pat_": "personal access token",
    "dckr_oat_": "organization access token",
    "ghp_": "GitHub token",
    "gho_": "GitHub token",
    "ghs_": "GitHub token",
    "github_pat_": "GitHub token",
    "glpat-": "GitLab token",
    "gldt-": "GitLab deploy token",
}


class Login(Document, frozen=True, kw_only=True, tag_field="schema", tag="publish.login/1"):
    """Who one is at a registry. kind: of the secret, as far as its form tells. may: what was seen to be allowed."""

    registry: str
    username: str
    kind: str
    source: str
    proven: bool
    may: tuple[str, ...] = ()


class Logout(Document, frozen=True, kw_only=True, tag_field="schema", tag="publish.logout/1"):
    """What was forgotten. forgotten: false where there was no login. left: what may still sign in, in sentences."""

    registry: str
    forgotten: bool
    left: tuple[str, ...] = ()


class LoginTarget(Value, frozen=True):
    """What a login is for: a registry, or one namespace of it."""

    registry: str
    path: str = ""

    @classmethod
    def parse(cls, text: str) -> LoginTarget:
        """Read HOST[:PORT][/NAMESPACE]; nothing means Docker Hub. Raises UsageError."""
        bare = text.removeprefix("https://").rstrip("/")
        if bare in {"", "docker.io", "index.docker.io", "registry-1.docker.io", "index.docker.io/v1"}:
            return cls(DOCKER_HUB)
        host, _, path = bare.partition("/")
        is_host = bool(set(host) & set(".:")) or host == "localhost"
        try:
            repository = Repository.parse(f"{host}/{path}/x" if path else f"{host}/x") if is_host else None
        except BadReference:
            repository = None
        if repository is None or "@" in bare or (path and ":" in path):
            raise UsageError(
                f"'{text}' is not a registry", hint="give HOST, HOST:PORT or HOST/NAMESPACE, as in docker.io/my-org"
            )
        return cls(repository.registry, path)

    def __str__(self) -> str:
        return f"{self.registry}/{self.path}" if self.path else self.registry


def kind_of(credential: Credential) -> str:
    """What kind of secret it is, by its form alone."""
    if credential.is_identity_token:
        return "identity token"
    if credential.is_registry_token:
        return "registry token"
    return next((kind for start, kind in _KINDS.items() if credential.secret.startswith(start)), "password or token")


def check_pasted(text: str, what: str) -> None:
    """Refuse what was pasted with more than it should hold; raises Denied."""
    if not text:
        raise Denied(f"the {what} is empty")
    if text != text.strip():
        raise Denied(f"the {what} has a space or a newline at its end or start, as pasted text often has")
    if any(ord(sign) < 0x20 or ord(sign) == 0x7F for sign in text):  # noqa: PLR2004 - control codes
        raise Denied(f"the {what} has a control character in it", hint="type it, or paste it without its newline")


def refuse_rehearsal(session: Session) -> None:
    """Raise Refused where a login would prove nothing, before anybody is asked for a password."""
    if session.sandbox:
        raise Refused("a sandbox needs no login", hint="unset PUBLISH_SANDBOX")


def login(session: Session, place: LoginTarget, credential: Credential, *, store: str, docker: bool) -> Login:
    """Prove a credential, then store it: in the keyring, or with store "docker" in docker's own file."""
    refuse_rehearsal(session)
    check_pasted(credential.username, "user name")
    check_pasted(credential.secret, "password or token")
    session.learn(credential.secret)
    if store == "docker" and docker:
        raise UsageError("--docker lets docker ask our keyring, and --store docker doesn't use it")
    if docker and place.path:
        raise UsageError("docker's own CLI knows no logins for one namespace", hint="leave out --docker")
    proven = prove(session, place, credential)
    file = DockerConfigFile(config_file(session.environ), write_atomically)
    if store == "docker":
        file.store(str(place), credential.username, credential.secret)
        DockerLogins(session.environ, write_atomically).add(str(place), credential.username)
        session.progress.warn(f"the secret is in {file.path} as plain base64, which everybody who reads it can undo")
    else:
        logins(session).store(str(place), credential.username, credential.secret)
    if docker:
        file.use_helper(place.registry)
    return _login(place, credential, proven=proven, may=_may(session, place, credential))


def logins(session: Session) -> Logins:
    """What was stored on this machine."""
    return Logins(index_file(session.environ), write_atomically)


def logout(session: Session, place: LoginTarget, *, docker: bool) -> Logout:
    """Forget what a login stored, wherever it went; docker's own entry and its use of ours only if `docker` says so."""
    target = str(place)
    file = DockerConfigFile(config_file(session.environ), write_atomically)
    forgotten = [logins(session).erase(target)]
    if username := DockerLogins(session.environ, write_atomically).remove(target):
        forgotten.append(file.forget(target, username))
    if docker:
        forgotten += [file.forget_helper(target), file.forget(target)]
    return Logout(registry=target, forgotten=any(forgotten), left=tuple(_left(session, place)))


def _left(session: Session, place: LoginTarget) -> Iterator[str]:
    """What still signs in there after a logout."""
    target, key = str(place), key_of(str(place))
    for other, username in logins(session).index.items():
        if other != key and LoginTarget.parse(other).registry == place.registry:
            yield f"{username} stays signed in to {other}: publish logout {other}"
    path, plain = plain_logins(session.environ)
    if key in plain:
        yield f"{path} holds a login for {target} that docker wrote: docker logout {target}"
    if helper := helper_of(session.environ, place.registry):
        ours = f"publish logout {target} --docker" if helper == HELPER else f"docker logout {target}"
        yield f"docker asks docker-credential-{helper} for {target}: {ours}"
    elif held := store_with(session.environ, place.registry):
        yield f"docker's credsStore, {held}, holds a login for {target}: docker logout {target}"
    answer = EnvironmentCredentials(session.environ, frozenset({place.registry})).find(place.registry)
    if isinstance(answer, Present):
        yield f"{answer.credential.source} still hold one for {place.registry}: unset them"


def whoami(session: Session, place: LoginTarget) -> Login:
    """Who one is at a registry, asked of the registry itself; raises Denied where nobody is signed in."""
    session.aim([Repository(place.registry, place.path or "x")])
    credential = session.credentials.find(place.registry, place.path)
    if credential is None:
        raise Denied(
            f"nobody is signed in to {place}", reference=place.registry, hint=f"sign in: publish login {place.registry}"
        )
    session.learn(credential.secret)
    proven = prove(session, place, credential)
    return _login(place, credential, proven=proven, may=_may(session, place, credential))


def _may(session: Session, place: LoginTarget, credential: Credential) -> tuple[str, ...]:
    """What the credential may do, as far as Docker Hub tells; registries have no way to be asked."""
    if place.registry != DOCKER_HUB:
        return ()
    from publisher.hub.access import organization_rights, personal_rights

    access = session.hub_access(credential)
    try:
        if credential.secret.startswith("dckr_oat_"):
            return organization_rights(access, credential.username)
        return personal_rights(access) if credential.secret.startswith("dckr_pat_") else ()
    except PublishError:
        return ()


def _login(place: LoginTarget, credential: Credential, *, proven: bool, may: tuple[str, ...] = ()) -> Login:
    return Login(
        registry=str(place),
        username=credential.username,
        kind=kind_of(credential),
        source=credential.source,
        proven=proven,
        may=may,
    )


def prove(session: Session, place: LoginTarget, credential: Credential) -> bool:
    """Ask the registry (and Docker Hub's API) whether it takes the credential; raises Denied where it doesn't.

    False where the registry asks nobody who they are, so that nothing is proven.
    """
    if not asks_who(session, place):
        return False
    host = locate(Repository(place.registry, "x"), session.sandbox).host
    own = session.client_with(lambda _registry, _repository: credential)
    try:
        status = _ask(own, host, place.path or credential.username.lower())
        if status in _REFUSED:
            raise _denied(place, credential)
        if place.registry == DOCKER_HUB and not credential.registry_only:
            _prove_at_hub(session, place, credential)
    finally:
        own.close()
    return True


def asks_who(session: Session, place: LoginTarget) -> bool:
    """Whether the registry asks strangers who they are; raises Unreachable where it doesn't answer."""
    stranger = session.client_with(lambda _registry, _repository: None)
    try:
        return _ask(stranger, locate(Repository(place.registry, "x"), session.sandbox).host, "") != _OK
    finally:
        stranger.close()


def _ask(client: Client, host: str, namespace: str) -> int:
    """The status of the registry's front door, with a token for a repository of the namespace."""
    scopes = (f"repository:{namespace}/publish-login:pull,push",) if namespace else ()
    url = f"{client.base_url(host)}/v2/"
    # A token service gives strangers a token that opens the front door: only the bare answer shows whether it is shut.
    request = Request(method="GET", url=url, scopes=scopes, anonymous=not namespace, bare=not namespace)
    with client.send(request) as response:
        return response.status


def _prove_at_hub(session: Session, place: LoginTarget, credential: Credential) -> None:
    """Docker Hub's API is another service, with tokens of its own."""
    try:
        session.hub_access(credential).prove()
    except Denied as error:
        raise _denied(place, credential) from error
    except Unreachable as error:
        session.progress.warn(f"Docker Hub's API could not be asked: {error.message}")


def _denied(place: LoginTarget, credential: Credential) -> Denied:
    hint = "with two-factor or single sign-on a password doesn't do: make an access token at "
    where = "https://app.docker.com/settings/personal-access-tokens" if place.registry == DOCKER_HUB else "the registry"
    return Denied(
        f"{place} does not accept this {kind_of(credential)} of {credential.username}; nothing was stored",
        reference=place.registry,
        hint=hint + where,
    )
