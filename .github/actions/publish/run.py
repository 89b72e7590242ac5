"""The Action's step: turns its inputs into publish's words, without any shell."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from tempfile import mkdtemp

from publisher.cli.github import in_inputs
from publisher.facts.gather import gather
from publisher.facts.trust import RISKY, Trust, is_fork, read_trust
from publisher.http.redaction import forms
from publisher.model.build_values import is_own, write_fields
from publisher.model.environment import split_credential
from publisher.model.fields import lines
from publisher.report.workflow_commands import annotation, workflow_command
from publisher.workflows.checkout import commit_problem

OF_PLANS = frozenset({"IMAGES", "TAGS", "FLAVOR", "ONLY"})
# Each is an option of `publish build`; the last ones alone build nothing that [build] doesn't.
OF_BUILDS = frozenset({"CONTEXT", "FILE", "TARGET", "BUILD_ARGS"})
OF_BUILDERS = frozenset({"PLATFORMS", "SECRETS", "SECRET_ENVS", "SECRET_FILES", "CACHE_FROM", "CACHE_TO", "BUILDER"})
OF_RELEASES = (
    OF_PLANS | OF_BUILDS | OF_BUILDERS | {"LABELS", "VERSION", "SOURCE", "VIA", "VERIFY", "RECEIPT", "SBOM", "TIMEOUT"}
)
# The inputs that say something to each command. A plan takes all of a release's, so that one step can be either.
TAKES = {
    "release": OF_RELEASES,
    "plan": OF_RELEASES,
    "retag": frozenset({"SOURCE", "TAGS", "RECEIPT", "TIMEOUT"}),
    "verify": frozenset({"SOURCE", "VERIFY", "TIMEOUT"}),
    "yank": OF_PLANS | {"VERSION", "RECEIPT", "TIMEOUT"},
    "reconcile": OF_PLANS | {"RECEIPT", "TIMEOUT"},
    "status": OF_PLANS,
}
FOR_ALL = frozenset({"COMMAND", "REGISTRY", "USERNAME", "PASSWORD", "CREDENTIALS", "CONFIG", "PULL_REQUEST"})
SWITCHES = {"DRY_RUN": "false", "SMOKE": "true", "SIGN": "false", "SANDBOX": "false", "ALLOW_FORK": "false"}
WRITES_NOTHING = frozenset({"plan", "verify", "status"})

SECRETS = (
    *("PUBLISH_PASSWORD", "PUBLISH_CREDENTIALS"),
    *("DOCKERHUB_TOKEN", "DOCKER_AUTH_CONFIG", "DOCKERHUB_OIDC_CONNECTIONID"),
)
SIGNING = ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "SIGSTORE_ID_TOKEN", "COSIGN_PASSWORD", "COSIGN_PRIVATE_KEY")
CREDENTIALS = (*SECRETS, "PUBLISH_USERNAME", "DOCKERHUB_USERNAME", *SIGNING)

SHORTEST = 4
REFUSED = 4
CANCELLED = 130


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
        if self["PULL_REQUEST"] not in {"", "plan", "push"}:
            raise Refusal(f"the input pull-request is {self['PULL_REQUEST']!r}; it must be plan or push")
        if self["TIMEOUT"] and not re.fullmatch(r"[0-9]{1,9}", self["TIMEOUT"]):
            raise Refusal(f"the input timeout is {self['TIMEOUT']!r}; it must be a number of seconds, 0 for none")
        if self.builds and self.lines("SOURCE"):
            building = next(name for name in sorted(OF_BUILDS | OF_BUILDERS) if self[name] and name != "PLATFORMS")
            raise Refusal(f"source names an image, and {shown(building)} is about building one; leave one out")

    @property
    def _useful(self) -> frozenset[str]:
        return TAKES[self.command] | FOR_ALL | SWITCHES.keys()

    @property
    def builds(self) -> bool:
        """Whether an image is built first. Of one that is there already, platforms says which are released."""
        inputs = OF_BUILDS | OF_BUILDERS - ({"PLATFORMS"} if self.lines("SOURCE") else set())
        return any(self[name] for name in inputs)

    @property
    def platforms(self) -> list[str]:
        """One a line, or with commas between them."""
        return [name.strip() for line in self.lines("PLATFORMS") for name in line.split(",") if name.strip()]

    def has_secret(self) -> bool:
        """Whether the job gave any credential for a registry."""
        given = self["PASSWORD"] or self["CREDENTIALS"]
        return bool(given) or any(os.environ.get(name) for name in SECRETS)


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
        secrets = build_secrets(given)
        given.check()
        trust = trusted(given)
        credentials = credential(given, trust)
        return run(given, trust, credentials, secrets)
    except Refusal as refusal:
        tell("error", f"{refusal}.")
        return refusal.code
    except KeyboardInterrupt:
        return CANCELLED  # while it built or planned: no tag was moved


def run(given: Inputs, trust: Trust, credentials: dict[str, str], secrets: dict[str, str]) -> int:
    """Build, where that is asked for, and then become publish."""
    environ = environment(given, trust)
    command, sources = given.command, given.lines("SOURCE")
    is_planned = not (trust.may_release or given.switches["SANDBOX"])
    if trust.reason and not given.switches["SANDBOX"]:
        explain(given, trust)
    if given.builds and (trust.may_sign_in or given.switches["SANDBOX"]):
        check_commit(given, trust)
        code, sources = build(given, trust, environ, secrets)
        if code:
            return code
    if is_planned:
        given.switches["DRY_RUN"] = True
        words = arguments("plan" if command == "release" else command, given, sources)
        code = subprocess.run(words, env=environ | credentials, check=False).returncode
        # That nothing would be released is no fault of a run that releases nothing.
        return 0 if command == "release" and code == REFUSED else code
    words = arguments(command, given, sources)
    # In this process's place: signals of the runner reach publish itself.
    return os.execve(words[0], words, environ | credentials)


def explain(given: Inputs, trust: Trust) -> None:
    """Say why nothing is released, or no credential is used, where the inputs ask for it."""
    if given.command in WRITES_NOTHING and (trust.may_sign_in or not given.has_secret()):
        return
    level = "notice" if os.environ.get("GITHUB_EVENT_NAME") == "pull_request" else "warning"
    tell(level, trust.reason)


def tell(level: str, text: str) -> None:
    """An annotation of the run."""
    sys.stderr.write(f"{annotation(level, text)}\n")


def check_commit(given: Inputs, trust: Trust) -> None:
    """A release looks for itself; a build gets the job's secrets before that."""
    if not trust.may_release or given.switches["SANDBOX"] or os.environ.get("PUBLISH_RELEASE_ALLOW_DIRTY"):
        return
    if problem := commit_problem(gather(Path.cwd(), os.environ), os.environ):
        raise Refusal(f"{problem.message}; {in_inputs(problem.hint or '')}", code=REFUSED)


def build(given: Inputs, trust: Trust, environ: dict[str, str], secrets: dict[str, str]) -> tuple[int, list[str]]:
    """Build what is released; returns the exit code, and the source that it is."""
    folder = f"{mkdtemp(dir=environ['TMPDIR'])}/image"
    words = [*build_words(given), *secret_words(given, trust, secrets)]
    # An engine's classic store holds one platform of an image only.
    is_layout = len(given.platforms) > 1
    words += [f"--output=oci:{folder}"] if is_layout else []
    words += ["--", *filter(None, [given["CONTEXT"]])]
    done = subprocess.run(words, env=environ, stdout=subprocess.PIPE, check=False)
    if done.returncode:
        return done.returncode, []
    name = json.loads(done.stdout)["images"][0]
    return 0, [f"oci:{folder}" if is_layout else f"docker-daemon:{name}"]


def mask(secret: str, username: str = "") -> None:
    """Have the runner blank the secret and all forms that it takes on its way, before anything is done with it."""
    if not secret:
        return
    # A secret of several lines is in a log line by line; a line that is but a brace would blank every brace.
    parts = [line for line in secret.splitlines() if len(line) >= SHORTEST]
    texts = {*parts, *forms(secret), *(forms(f"{username}:{secret}") if username else ())}
    for form in sorted(texts, key=len, reverse=True):
        sys.stdout.buffer.write(os.fsencode(workflow_command("add-mask", form)) + b"\n")
    sys.stdout.flush()


# Whose code it is.


def trusted(given: Inputs) -> Trust:
    """What this run may do; refuses a fork's code in an event that has secrets, unless that is allowed."""
    allowed = given.switches["ALLOW_FORK"]
    trust = read_trust(
        os.environ, has_secret=given.has_secret(), pushes=given["PULL_REQUEST"] == "push", allow_fork=allowed
    )
    event = os.environ.get("GITHUB_EVENT_NAME", "")
    if event not in RISKY or allowed or not is_fork(os.environ):
        return trust
    if given.has_secret():
        raise Refusal(
            f"this {event} run is for a fork's code and was given a password; use the event pull_request, which has "
            "no secrets, or set allow-fork if that code may act with it"
        )
    if given.builds:
        raise Refusal(f"this {event} run is for a fork's code, which isn't built where a job has secrets")
    return trust


def environment(given: Inputs, trust: Trust) -> dict[str, str]:
    """What publish sees: no input, and nobody's credential where it may not be used."""
    environ = {name: text for name, text in os.environ.items() if name[:6] != "INPUT_"}
    own = {"PUBLISH_REPORT": "github", "PUBLISH_MASK": "github"}
    if environ.get("INSTALLED"):
        own["TMPDIR"] = f"{environ.pop('INSTALLED')}/temp"
    if not trust.may_sign_in or given.switches["SANDBOX"]:
        for name in CREDENTIALS:
            environ.pop(name, None)
    if not trust.may_sign_in:
        own["PUBLISH_ANONYMOUS"] = "1"
    if given["TIMEOUT"]:
        own[f"PUBLISH_{given.command.upper()}_TIMEOUT"] = given["TIMEOUT"]
    return environ | own


def credential(given: Inputs, trust: Trust) -> dict[str, str]:
    """The password and the list of several, for publish alone; a build has no business with them."""
    if not trust.may_sign_in or given.switches["SANDBOX"]:
        return {}
    listed = {"PUBLISH_CREDENTIALS": given["CREDENTIALS"]} if given["CREDENTIALS"] else {}
    if given["PASSWORD"] and not given["USERNAME"]:
        raise Refusal("the input password is given and username is not; they go together", code=3)
    if given["USERNAME"] and not given["PASSWORD"] and trust.may_release:
        raise Refusal(
            "the input username is given and password is empty; has the repository, or its environment, that secret?",
            code=3,
        )
    if not given["PASSWORD"]:
        return listed
    pair = listed | {"PUBLISH_USERNAME": given["USERNAME"], "PUBLISH_PASSWORD": given["PASSWORD"]}
    return pair | ({"PUBLISH_REGISTRY": given["REGISTRY"]} if given["REGISTRY"] else {})


# Secrets of a build.


def build_secrets(given: Inputs) -> dict[str, str]:
    """The input secrets, ID=VALUE, masked; a value of several lines stands in quotes, as docker's action has it."""
    text = given["SECRETS"]
    try:
        # Only a line break parts two secrets.
        rows = csv.reader(io.StringIO(text, newline=""), delimiter="\x1f", strict=True)
        pairs = [row[0].partition("=") for row in rows if row and row[0].strip()]
    except csv.Error:
        raise Refusal("the input secrets has a quote (\") that isn't closed, or text behind a closed one") from None
    for number, (name, _, value) in enumerate(pairs, 1):
        mask(value if len(value) >= SHORTEST else "")
        if not re.fullmatch(r"[A-Za-z0-9_.-]+", name.strip()):
            raise Refusal(f"secret {number} of the input secrets is not ID=VALUE")
    return {name.strip(): value for name, _, value in pairs}


def secret_words(given: Inputs, trust: Trust, secrets: dict[str, str]) -> list[str]:
    """Options for the secrets of all three inputs; values in files that only this user reads."""
    words = []
    folder = Path(mkdtemp(dir=f"{os.environ['INSTALLED']}/temp"))
    for number, (name, value) in enumerate(secrets.items()):
        if not value:
            without_value(name, trust)
            continue
        file = folder / str(number)
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
            stream.write(os.fsencode(value))
        words.append(secret_word(name, "src", str(file)))
    for name, kind in (("SECRET_ENVS", "env"), ("SECRET_FILES", "src")):
        for line in given.lines(name):
            key, _, value = line.partition("=")
            if not key or not value or (kind == "env" and is_own(value)):
                expected = "ID=VARIABLE, of none that holds publish's own credentials" if kind == "env" else "ID=PATH"
                raise Refusal(f"the input {shown(name)} has the line {line!r}; it must be {expected}")
            if kind == "env":
                mask(os.environ.get(value, ""))
            words.append(secret_word(key, kind, value))
    return words


def without_value(name: str, trust: Trust) -> None:
    """A fork's rehearsal has no secrets: the build shows whether it needs one. A release has them."""
    if trust.may_release:
        raise Refusal(f"the secret {name} of the input secrets is empty; has the repository, or its environment, it?")
    tell("warning", f"the secret {name} of the input secrets is empty, as in every run of a fork: it is left out")


def secret_word(name: str, kind: str, value: str) -> str:
    """An option as buildx spells it, where a comma would part two fields."""
    return f"--secret={write_fields((f'id={name}', f'{kind}={value}'))}"


# Words: each value stands in one word with its option, so that none can become an option.


PUBLISH = (sys.executable, "-I", "-m", "publisher.cli")


def one(option: str, value: str) -> list[str]:
    """An option, where it has a value."""
    return [f"{option}={value}"] if value else []


def planned(given: Inputs) -> list[str]:
    """What shapes the tags."""
    pairs = (("IMAGES", "--image"), ("TAGS", "--rule"), ("FLAVOR", "--flavor"), ("ONLY", "--only"))
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
    words += [f"--platform={name}" for name in given.platforms] + one("--builder", given["BUILDER"])
    several = (("BUILD_ARGS", "--build-arg"), ("CACHE_FROM", "--cache-from"), ("CACHE_TO", "--cache-to"))
    return words + [f"{option}={line}" for name, option in several for line in given.lines(name)]


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
        words += ["--pull-request"] if given["PULL_REQUEST"] == "push" else []
        words += [] if given.builds else [f"--platform={name}" for name in given.platforms]
    return words


if __name__ == "__main__":
    sys.exit(main())
