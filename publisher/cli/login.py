"""`publish login`."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from publisher.cli.completing import registries
from publisher.cli.options import formats, open_session
from publisher.model.printable import printable

if TYPE_CHECKING:
    from publisher.cli.context import GlobalOptions
    from publisher.model.credential import Credential
    from publisher.workflows.login import Login, LoginTarget
    from publisher.workflows.session import Session


@click.command("login")
@click.argument("registry", required=False, default="docker.io", metavar="[REGISTRY]", shell_complete=registries)
@click.option("-u", "--username", metavar="USER", help="The user at the registry.")
@click.option("--password-stdin", is_flag=True, help="Read the password or token from stdin.")
@click.option(
    "--store", type=click.Choice(["keyring", "docker"]), default="keyring",
    help="Keep it in the system's keyring, or in docker's own file, where it is not safe.",
)  # fmt: skip
@click.option("--docker", is_flag=True, help="Let docker's own CLI use it, through docker-credential-publish.")
@formats("json")
@click.pass_obj
def command(
    options: GlobalOptions,
    /,
    registry: str,
    username: str | None,
    store: str,
    form: str,
    *,
    password_stdin: bool,
    docker: bool,
) -> int:
    r"""Prove a credential to REGISTRY (Docker Hub if none is named), and keep it.

    \b
    publish login
    publish login ghcr.io -u me --password-stdin < token
    publish login docker.io/my-org --docker
    """
    from publisher.cli.rendering import show_json, show_text
    from publisher.workflows.login import LoginTarget, login, refuse_rehearsal

    target = LoginTarget.parse(registry)
    with open_session(options) as session:
        refuse_rehearsal(session)
        if store == "keyring":
            _check_keyring(target)
        credential = _credential(session, target, username, password_stdin=password_stdin)
        account = login(session, target, credential, store=store, docker=docker)
    if form == "json":
        show_json(account)
        return 0
    where = "docker's own file" if store == "docker" else "the keyring"
    show_text(f"{account_line(account)}\nkept in {where}{', and docker asks for it there' if docker else ''}\n")
    return 0


def account_line(account: Login) -> str:
    """Who one is, in a line."""
    how = "" if account.proven else " (unproven: the registry asks nobody who they are)"
    may = f", which may {' or '.join(account.may)}" if account.may else ""
    return printable(f"{account.registry}: {account.username}, by a {account.kind}{may}{how}")


def _check_keyring(target: LoginTarget) -> None:
    """Before anything is asked for; the way out names the registry."""
    from publisher.credentials.vault import backend_name
    from publisher.model.errors import BrokenCredential

    try:
        backend_name()
    except BrokenCredential as error:
        raise BrokenCredential(error.message, hint=(error.hint or "").replace("REGISTRY", str(target))) from error


def _credential(session: Session, target: LoginTarget, username: str | None, *, password_stdin: bool) -> Credential:
    """From stdin, the environment or the terminal, and never half from one and half from another."""
    from publisher.credentials.environment import EnvironmentCredentials
    from publisher.model.credential import Broken, Credential, Present
    from publisher.model.errors import BrokenCredential, Denied
    from publisher.workflows.login import asks_who

    registry = target.registry
    if password_stdin:
        if not username:
            raise Denied("--password-stdin needs --username")
        return Credential(username, sys.stdin.read().removesuffix("\n").removesuffix("\r"), "--password-stdin")
    answer = EnvironmentCredentials(os.environ, frozenset({registry})).find(registry)
    if isinstance(answer, Broken):
        raise BrokenCredential(answer.reason, hint=answer.hint)
    if isinstance(answer, Present) and username in {None, answer.credential.username}:
        return answer.credential
    if not sys.stdin.isatty():
        raise Denied(
            "there is no terminal to ask for a password at",
            hint=f"pipe it in: … | publish login {target} -u USER --password-stdin",
        )
    asks_who(session, target)  # nobody types a password for a registry that isn't there
    user = username or click.prompt(f"Username at {registry}", err=True)
    question = f"Password or token of {user} at {registry}"
    return Credential(user, click.prompt(question, hide_input=True, err=True), "the terminal")
