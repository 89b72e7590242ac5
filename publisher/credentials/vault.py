"""The system's keyring, where it is a secure one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from publisher.model.credential import Absent, Answer, Broken, Credential, Present
from publisher.model.errors import BrokenCredential

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

SERVICE: Final = "publish"
# Backends that encrypt at rest. Anything else is refused by name: keyrings.alt writes base64 to a file without a word.
_SECURE = ("keyring.backends.SecretService", "keyring.backends.libsecret", "keyring.backends.kwallet")
_SECURE_ELSEWHERE = ("keyring.backends.macOS", "keyring.backends.Windows")

WITHOUT_KEYRING: Final = (
    "keep the login in docker's own file, 'publish login REGISTRY --store docker', or set PUBLISH_USERNAME and "
    "PUBLISH_PASSWORD"
)
# What backends raise where the keyring is locked, or new, and its question for a password finds no display.
_LOCKED: Final = frozenset({"KeyringLocked", "InitError", "LockedException", "PromptDismissedException"})


class Vault:
    """Credentials in the keyring, one a registry: a JSON object of user and secret under the registry's name."""

    name = "the keyring"

    def find(self, registry: str, repository: str = "") -> Answer:
        """Ask for `registry`; a keyring that can't be used is broken."""
        del repository
        try:
            text = _backend().get_password(SERVICE, registry)
        except BrokenCredential as error:
            return Broken(error.message, error.hint or "")
        except Exception as error:  # noqa: BLE001 - backends raise what their system raises: locked, no D-Bus, gone
            failure = _failure(error)
            return Broken(failure.message, failure.hint or "")
        return _read(text) if text else Absent()

    def store(self, registry: str, username: str, secret: str) -> None:
        """Keep a credential, and read it back: there are backends that take everything and keep nothing."""
        try:
            backend = _backend()
            backend.set_password(SERVICE, registry, json.dumps({"Username": username, "Secret": secret}))
            stored = backend.get_password(SERVICE, registry)
        except BrokenCredential:
            raise
        except Exception as error:
            raise _failure(error) from error
        if not stored or json.loads(stored) != {"Username": username, "Secret": secret}:
            raise BrokenCredential("the keyring did not keep what it was given", reference=registry)

    def erase(self, registry: str) -> None:
        """Forget a credential; absent is done."""
        from keyring.errors import PasswordDeleteError

        try:
            _backend().delete_password(SERVICE, registry)
        except PasswordDeleteError:
            return
        except BrokenCredential:
            raise
        except Exception as error:
            raise _failure(error) from error


def backend_name() -> str:
    """The keyring that would be used; raises BrokenCredential where there is none that is secure."""
    backend = _backend()
    return f"{type(backend).__module__}.{type(backend).__name__}"


def _failure(error: Exception) -> BrokenCredential:
    """In one sentence, with what to do next."""
    if {kind.__name__ for kind in (type(error), type(error.__cause__), type(error.__context__))} & _LOCKED:
        return BrokenCredential(
            "the keyring is locked or new, and has no display to ask for its password at",
            hint=f"unlock it in a desktop's session, or {WITHOUT_KEYRING}",
        )
    return BrokenCredential(f"the keyring did not answer: {type(error).__name__}: {error}", hint=WITHOUT_KEYRING)


def _read(text: str) -> Answer:
    try:
        document = json.loads(text)
        return Present(Credential(document["Username"], document["Secret"], "the keyring"))
    except (ValueError, KeyError, TypeError):
        return Broken("its entry is not publish's")


def _backend() -> KeyringBackend:
    """The keyring, if every backend in it is secure; raises BrokenCredential that names the one that isn't."""
    import keyring

    keyring_backend = keyring.get_keyring()
    for backend in getattr(keyring_backend, "backends", None) or [keyring_backend]:
        name = f"{type(backend).__module__}.{type(backend).__name__}"
        if name.startswith("keyring.backends.fail."):
            raise BrokenCredential("this machine has no keyring that is running", hint=WITHOUT_KEYRING)
        if not name.startswith((*_SECURE, *_SECURE_ELSEWHERE)):
            raise BrokenCredential(f"the keyring's backend {name} does not keep secrets safe", hint=WITHOUT_KEYRING)
    return keyring_backend
