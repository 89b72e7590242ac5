"""The Action's step: turns its inputs into one publish command, without any shell."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

COMMANDS = ("release", "plan", "retag", "verify", "yank", "reconcile", "status")
EVENTS_OF_OTHERS = ("pull_request", "pull_request_target", "workflow_run")
SHOW_PLAN = ("release", "plan")


def main() -> int:
    """Run publish; returns its exit code."""
    given = {name.removeprefix("INPUT_"): os.environ[name] for name in os.environ if name.startswith("INPUT_")}
    command = given.get("COMMAND") or "release"
    if command not in COMMANDS:
        return refuse(f"the input command must be one of {', '.join(COMMANDS)}")
    foreign = is_foreign()
    if foreign and os.environ.get("GITHUB_EVENT_NAME") != "pull_request" and given.get("PASSWORD"):
        return refuse("a run for a fork's code was given a password; use the event pull_request, which has no secrets")
    if foreign and not flag(given, "SANDBOX") and command not in {"verify", "status"}:
        command = "plan" if command in SHOW_PLAN else command
        given["DRY_RUN"] = "true"
    environ = environment(given, foreign=foreign)
    words = [sys.executable, "-I", "-m", "publisher.cli"]
    words += ["--config", given["CONFIG"]] if given.get("CONFIG") else []
    words += arguments(command, given)
    if flag(given, "SANDBOX"):
        words = [sys.executable, "-I", "-m", "publisher.cli", "sandbox", "exec", "--", *words]
    return subprocess.run(words, env=environ, check=False).returncode


def refuse(message: str) -> int:
    """Say why nothing was done."""
    sys.stderr.write(f"publish: {message}.\n")
    return 2


def flag(given: dict[str, str], name: str) -> bool:
    """Whether an input says true."""
    return given.get(name, "").strip().lower() == "true"


def lines(text: str) -> list[str]:
    """The lines of an input that say something."""
    return [line.strip() for line in text.splitlines() if line.strip()]


def is_foreign() -> bool:
    """Whether the code may be another repository's. What can't be read is taken for that."""
    event = os.environ.get("GITHUB_EVENT_NAME", "")
    if event not in EVENTS_OF_OTHERS:
        return False
    try:
        payload = json.loads(Path(os.environ["GITHUB_EVENT_PATH"]).read_text(encoding="utf-8"))
        run = payload["workflow_run"] if event == "workflow_run" else {}
        head = run["head_repository"] if run else payload["pull_request"]["head"]["repo"]
        return bool(head["full_name"] != os.environ["GITHUB_REPOSITORY"])
    except (OSError, ValueError, KeyError, TypeError):
        return True


def environment(given: dict[str, str], *, foreign: bool) -> dict[str, str]:
    """What publish sees: no input, and the credential only where it may be used."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("INPUT_")}
    environ["PUBLISH_REPORT"] = "github"
    if foreign:  # a job's own variables are as secret as the input
        for name in ("PUBLISH_USERNAME", "PUBLISH_PASSWORD", "DOCKERHUB_USERNAME", "DOCKERHUB_TOKEN"):
            environ.pop(name, None)
    if given.get("PASSWORD"):
        mask(given["PASSWORD"], given.get("USERNAME", ""))
    if given.get("PASSWORD") and not foreign and not flag(given, "SANDBOX"):
        environ |= {"PUBLISH_USERNAME": given.get("USERNAME", ""), "PUBLISH_PASSWORD": given["PASSWORD"]}
        if given.get("REGISTRY"):
            environ["PUBLISH_REGISTRY"] = given["REGISTRY"]
    return environ


def mask(secret: str, username: str) -> None:
    """Have the runner blank the secret and the forms that it takes on its way."""
    pair = f"{username}:{secret}".encode()
    forms = [*secret.splitlines(), quote(secret, safe=""), json.dumps(secret)[1:-1]]
    forms += [base64.b64encode(secret.encode()).decode(), base64.b64encode(pair).decode()]
    for form in dict.fromkeys(forms):
        if form.strip():
            sys.stdout.write(f"::add-mask::{form.replace('%', '%25')}\n")
    sys.stdout.flush()


def arguments(command: str, given: dict[str, str]) -> list[str]:
    """The command's words: each value stands in one word with its option, so none can become an option."""
    words = [command]
    if command in {"release", "plan", "yank", "reconcile", "status"}:
        for name, option in (("IMAGES", "--image"), ("TAGS", "--rule"), ("FLAVOR", "--flavor")):
            words += [f"{option}={line}" for line in lines(given.get(name, ""))]
    if command in SHOW_PLAN:
        words += [f"--label={line}" for line in lines(given.get("LABELS", ""))]
        words += [f"--version={given['VERSION']}"] if given.get("VERSION") else []
    words += ["--format=github"] if command == "plan" else []
    words += options(command, given)
    named = lines(given.get("VERSION" if command == "yank" else "SOURCE", ""))
    return [*words, "--", *named] if command not in {"reconcile", "status"} else words


def options(command: str, given: dict[str, str]) -> list[str]:
    """The options that only some commands have."""
    words = [f"--verify={given['VERIFY']}"] if given.get("VERIFY") and command in {"release", "verify"} else []
    if flag(given, "DRY_RUN") and command not in {"plan", "verify", "status"}:
        words += ["--dry-run"]
    if command in {"release", "retag"} and given.get("RECEIPT"):
        words += [f"--receipt={given['RECEIPT']}"]
    if command == "release":
        words += [f"--via={given['VIA']}"] if given.get("VIA") else []
        words += [] if given.get("SMOKE", "true").strip().lower() != "false" else ["--no-smoke"]
    return words


if __name__ == "__main__":
    sys.exit(main())
