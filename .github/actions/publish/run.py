"""The Action's step: turns its inputs into publish's words, without any shell."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from publisher.http.redaction import forms
from publisher.model.environment import split_credential
from publisher.model.fields import lines
from publisher.model.printable import printable
from publisher.report.progress import safe_lines

OF_PLANS = frozenset({"IMAGES", "TAGS", "FLAVOR"})
OF_BUILDS = frozenset({"CONTEXT", "FILE", "TARGET", "BUILD_ARGS"})
OF_RELEASES = OF_PLANS | OF_BUILDS | {"LABELS", "VERSION", "SOURCE", "VIA", "VERIFY", "RECEIPT", "SBOM"}
# The inputs that say something to each command. A plan takes all of a release's, so that one step can be either.
TAKES = {
    "release": OF_RELEASES,
    "plan": OF_RELEASES,
    "retag": frozenset({"SOURCE", "TAGS", "RECEIPT"}),
    "verify": frozenset({"SOURCE", "VERIFY"}),
    "yank": OF_PLANS | {"VERSION", "RECEIPT"},
    "reconcile": OF_PLANS | {"RECEIPT"},
    "status": OF_PLANS,
}
FOR_ALL = frozenset({"COMMAND", "REGISTRY", "USERNAME", "PASSWORD", "CREDENTIALS", "CONFIG"})
SWITCHES = {"DRY_RUN": "false", "SMOKE": "true", "SIGN": "false", "SANDBOX": "false", "ALLOW_FORK": "false"}
WRITES_NOTHING = frozenset({"plan", "verify", "status"})

# In these events the code may be another repository's; in the risky ones the job has secrets all the same.
RISKY = frozenset({"pull_request_target", "workflow_run"})
EVENTS_OF_OTHERS = RISKY | {"pull_request", "pull_request_review", "pull_request_review_comment"}
SECRETS = (
    "PUBLISH_PASSWORD",
    "PUBLISH_CREDENTIALS",
    "DOCKERHUB_TOKEN",
    "DOCKER_AUTH_CONFIG",
    "DOCKERHUB_OIDC_CONNECTIONID",
)
SIGNING = ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "SIGSTORE_ID_TOKEN", "COSIGN_PASSWORD", "COSIGN_PRIVATE_KEY")
CREDENTIALS = (*SECRETS, "PUBLISH_USERNAME", "DOCKERHUB_USERNAME", *SIGNING)

SHORTEST = 4


class Refusal(Exception):
    """Why nothing was done, and the exit code."""

    def __init__(self, message: str, code: int = 2) -> None:
        super().__init__(message)
        self.code = code


class Inputs:
    """The inputs as the step's environment holds them, trimmed as GitHub's own actions do."""

    def __init__(self) -> None:
        names = (*OF_RELEASES, *FOR_ALL, *SWITCHES)
        self._texts = {name: os.environ.get(f"INPUT_{name}", "").strip() for name in names}
        self.command = self["COMMAND"] or "release"
        self.switches: dict[str, bool] = {}

    def __getitem__(self, name: str) -> str:
        return self._texts[name]

    def lines(self, name: str) -> list[str]:
        """The lines of an input, without empty ones and comments."""
        return list(lines((self[name],)))

    def check(self) -> None:
        """Refuse what would have no effect, or another one than was meant."""
        if self.command not in TAKES:
            raise Refusal(f"the input command is {self.command!r}; it must be one of {', '.join(TAKES)}")
        for name, default in SWITCHES.items():
            text = self[name].lower() or default
            if text not in {"true", "false"}:
                raise Refusal(f"the input {shown(name)} is {text!r}; it must be true or false")
            self.switches[name] = text == "true"
        idle = [name for name in self._texts if self[name] and name not in self._useful]
        if idle:
            raise Refusal(f"the input {shown(idle[0])} says nothing to the command {self.command}; leave it out")
        if self.builds and self.lines("SOURCE"):
            raise Refusal("source names an image, and context, file, target or build-args builds one; leave one out")

    @property
    def _useful(self) -> frozenset[str]:
        return TAKES[self.command] | FOR_ALL | SWITCHES.keys()

    @property
    def builds(self) -> bool:
        """Whether an image is built first."""
        return any(self[name] for name in OF_BUILDS)


def shown(name: str) -> str:
    """The input as action.yml calls it."""
    return name.lower().replace("_", "-")


def main() -> int:
    """Become publish; returns only where it is not to be run."""
    given = Inputs()
    mask(given["PASSWORD"], given["USERNAME"])
    for line in given["CREDENTIALS"].splitlines():
        parts = split_credential(line)
        mask(parts[-1], parts[-2] if len(parts) > 1 else "")
    try:
        given.check()
        foreign = is_foreign() and not may_have_secrets(given)
        secret = credential(given, foreign=foreign)
    except Refusal as refusal:
        sys.stderr.write(safe_lines(f"publish: {printable(str(refusal))}.\n"))
        return refusal.code
    environ = environment(given, foreign=foreign)
    command = given.command
    sources = given.lines("SOURCE")
    if foreign and not given.switches["SANDBOX"]:
        command = "plan" if command == "release" else command
        given.switches["DRY_RUN"] = True
    elif given.builds:
        done = subprocess.run(build_words(given), env=environ, stdout=subprocess.PIPE, check=False)
        if done.returncode:
            return done.returncode
        sources = [f"docker-daemon:{json.loads(done.stdout)['images'][0]}"]
    words = arguments(command, given, sources)
    # In this process's place: signals of the runner reach publish itself.
    return os.execve(words[0], words, environ | secret)


def mask(secret: str, username: str) -> None:
    """Have the runner blank the secret and all forms that it takes on its way, before anything is done with it."""
    if not secret:
        return
    # A secret of several lines is in a log line by line; a line that is but a brace would blank every brace.
    parts = [line for line in secret.splitlines() if len(line) >= SHORTEST]
    for form in sorted({*parts, *forms(secret), *forms(f"{username}:{secret}")}, key=len, reverse=True):
        escaped = form.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
        sys.stdout.buffer.write(b"::add-mask::%b\n" % os.fsencode(escaped))
    sys.stdout.flush()


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


def may_have_secrets(given: Inputs) -> bool:
    """Whether a fork's run is to use the job's secrets; refuses an event that has some, unless that is allowed."""
    event = os.environ["GITHUB_EVENT_NAME"]
    if event not in RISKY:
        return False
    if given.switches["ALLOW_FORK"]:
        return True
    if given["PASSWORD"] or given["CREDENTIALS"] or any(os.environ.get(name) for name in SECRETS):
        raise Refusal(
            f"this {event} run is for a fork's code and was given a password; use the event pull_request, which has "
            "no secrets, or set allow-fork if that code may act with it"
        )
    if given.builds:
        raise Refusal(f"this {event} run is for a fork's code, which isn't built where a job has secrets")
    return False


def environment(given: Inputs, *, foreign: bool) -> dict[str, str]:
    """What publish sees: no input, and nobody's credential where it may not be used."""
    environ = {name: text for name, text in os.environ.items() if name[:6] != "INPUT_"}
    temp = {"TMPDIR": f"{environ.pop('INSTALLED')}/temp"} if environ.get("INSTALLED") else {}
    for name in CREDENTIALS if foreign or given.switches["SANDBOX"] else ():
        environ.pop(name, None)
    return environ | temp | {"PUBLISH_REPORT": "github", "PUBLISH_MASK": "github"}


def credential(given: Inputs, *, foreign: bool) -> dict[str, str]:
    """The password and the list of several, for publish alone; a build has no business with them."""
    if foreign or given.switches["SANDBOX"]:
        return {}
    listed = {"PUBLISH_CREDENTIALS": given["CREDENTIALS"]} if given["CREDENTIALS"] else {}
    if not given["PASSWORD"]:
        return listed
    if not given["USERNAME"]:
        raise Refusal("the input password is given and username is not; they go together", code=3)
    found = listed | {"PUBLISH_USERNAME": given["USERNAME"], "PUBLISH_PASSWORD": given["PASSWORD"]}
    return found | ({"PUBLISH_REGISTRY": given["REGISTRY"]} if given["REGISTRY"] else {})


# Words: each value stands in one word with its option, so that none can become an option.


PUBLISH = (sys.executable, "-I", "-m", "publisher.cli")


def one(option: str, value: str) -> list[str]:
    """An option, where it has a value."""
    return [f"{option}={value}"] if value else []


def planned(given: Inputs) -> list[str]:
    """What shapes the tags."""
    pairs = (("IMAGES", "--image"), ("TAGS", "--rule"), ("FLAVOR", "--flavor"))
    return [f"{option}={line}" for name, option in pairs for line in given.lines(name)]


def labelled(given: Inputs) -> list[str]:
    """What shapes the tags, and the labels."""
    labels = [f"--label={line}" for line in given.lines("LABELS")]
    return [*planned(given), *labels, *one("--version", given["VERSION"])]


def program(given: Inputs) -> list[str]:
    """Start publish, with the options before the command."""
    return [*PUBLISH, *one("--config", given["CONFIG"])]


def build_words(given: Inputs) -> list[str]:
    """The build that a release begins with."""
    words = [*program(given), "build", "--format=json", *labelled(given)]
    words += [*one("--file", given["FILE"]), *one("--target", given["TARGET"])]
    words += [f"--build-arg={line}" for line in given.lines("BUILD_ARGS")]
    return [*words, "--", *filter(None, [given["CONTEXT"]])]


def arguments(command: str, given: Inputs, sources: list[str]) -> list[str]:
    """The command with its options and arguments."""
    rehearsal = [*PUBLISH, "sandbox", "exec", "--"] if given.switches["SANDBOX"] else []
    words = [*rehearsal, *program(given), command, *options(command, given)]
    match command:
        case "plan" | "release":
            return [*words, *labelled(given), "--", *sources]
        case "retag":
            return [*words, "--", *sources, *given.lines("TAGS")]
        case "verify":
            return [*words, "--", *sources]
        case "yank":
            return [*words, *planned(given), "--", given["VERSION"]]
        case _:
            return [*words, *planned(given)]


def options(command: str, given: Inputs) -> list[str]:
    """How it is done."""
    level = one("--verify", given["VERIFY"])
    if command in WRITES_NOTHING:
        return level if command == "verify" else ["--format=github"] if command == "plan" else []
    words = [*one("--receipt", given["RECEIPT"]), *(["--dry-run"] if given.switches["DRY_RUN"] else [])]
    if command == "release":
        words += [*one("--via", given["VIA"]), *level, *([] if given.switches["SMOKE"] else ["--no-smoke"])]
        words += [*(["--sign"] if given.switches["SIGN"] else []), *one("--sbom", given["SBOM"])]
    return words


if __name__ == "__main__":
    sys.exit(main())
