"""What can go wrong, each with its exit code (see docs/errors.md)."""

from __future__ import annotations

import errno
import signal
from typing import TYPE_CHECKING, ClassVar, Final

from publisher.model.printable import printable

if TYPE_CHECKING:
    from publisher.model.value import Place

NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""What the system says where a file can't grow: the disk is full, or a quota or a limit is reached."""


class PublishError(Exception):
    """An error that is told to the user in one short paragraph.

    message: what happened, a sentence without its full stop.
    reference: the image reference, registry or file it happened to.
    hint: the likely cause, or the next command to run.
    place: the line of a file that is to be changed.
    """

    exit_code: int = 1
    kind: ClassVar[str] = "unexpected"

    def __init__(
        self, message: str, *, reference: object = None, hint: str | None = None, place: Place | None = None
    ) -> None:
        super().__init__(printable(message))
        self.message = printable(message)
        self.reference = None if reference is None else str(reference)
        self.hint = hint
        self.place = place


class DiskFull(PublishError):
    """No room left on this machine."""

    kind = "disk-full"


class BuildFailed(PublishError):
    """The builder could not make the image."""

    kind = "build"


class UsageError(PublishError):
    """The command line asks for what can't be done."""

    exit_code = 2
    kind = "usage"


class ConfigError(PublishError):
    """The configuration file or an environment variable is wrong."""

    exit_code = 2
    kind = "configuration"


class BadRule(ConfigError):
    """A tag rule or a flavor that is wrong; `rule` is its text."""

    def __init__(self, message: str, *, rule: str, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.rule = rule


class BadReference(UsageError):
    """An image reference, digest or tag that doesn't follow the grammar."""

    kind = "bad-reference"


class SourceNotFound(UsageError):
    """The image to release isn't where it was said to be."""

    kind = "source-not-found"


class NoVersion(UsageError):
    """Neither git nor an option says which version this is."""

    kind = "no-version"


class Denied(PublishError):
    """Credentials are missing, refused or too weak."""

    exit_code = 3
    kind = "denied"


class BrokenCredential(PublishError):
    """A source of credentials that is configured but doesn't work."""

    exit_code = 3
    kind = "broken-credential"


class Refused(PublishError):
    """A rule of publish or of the registry forbids it; nothing was written."""

    exit_code = 4
    kind = "refused"


class ExactTagTaken(Refused):
    """An exact tag already names another image."""

    kind = "exact-tag-taken"


class ImmutableTag(Refused):
    """The registry has frozen the tag."""

    kind = "immutable"


class DirtyTree(Refused):
    """Tracked files differ from the commit that would be released."""

    kind = "dirty-tree"


class OutOfDate(Refused):
    """Registry, git or source have moved on since the plan was made."""

    kind = "plan-out-of-date"


class Drift(Refused):
    """A floating tag isn't where the published versions say it should be."""

    kind = "drift"


class VerificationFailed(PublishError):
    """What the registry holds isn't what was meant to be there."""

    exit_code = 5
    kind = "verification"


class RepositoryMissing(VerificationFailed):
    """The registry has no repository of that name."""

    kind = "repository-missing"


class BadManifest(VerificationFailed):
    """A manifest that is ambiguous, malformed or too large."""

    kind = "bad-manifest"


class BadAttestation(VerificationFailed):
    """A signed statement that can't be read, doesn't hold, or speaks of something else."""

    kind = "bad-attestation"


class BadArchive(VerificationFailed):
    """An image archive or layout that is malformed or hostile."""

    kind = "bad-archive"


class SmokeFailed(VerificationFailed):
    """The image ran, and didn't do what [smoke] asks."""

    kind = "smoke"


class Unreachable(PublishError):
    """The registry, the engine or the network did not answer."""

    exit_code = 6
    kind = "unreachable"


class TlsFailed(Unreachable):
    """The other side's certificate was not accepted."""

    kind = "tls"


class EngineUnavailable(Unreachable):
    """No container engine answers, or this user may not use it."""

    kind = "engine"


class QuotaUsedUp(Unreachable):
    """The registry's pull or request quota is used up for longer than a job waits."""

    kind = "quota"


class Locked(Unreachable):
    """Another run holds the lock."""

    kind = "locked"


class Incomplete(PublishError):
    """Some tag was changed and not all is done."""

    exit_code = 7
    kind = "incomplete"


class TimeUp(Unreachable):
    """The run has taken as long as --timeout allows."""

    kind = "timeout"


class Stopped(PublishError):
    """How an interrupt is told: its exit code is 128 and the signal's number, as shells count."""

    exit_code = 130
    kind = "interrupted"

    def __init__(self, number: int, message: str = "", *, reference: object = None, hint: str | None = None) -> None:
        word = "interrupted" if number == signal.SIGINT else "terminated"
        super().__init__(message or word, reference=reference, hint=hint)
        self.signal = number
        self.exit_code = 128 + number
        self.by_signal = not message
        """Whether a signal ended it, and not an answer."""


class Interrupted(BaseException):
    """A signal asks the run to end. No PublishError: what handles a failed request must not take it for one.

    The alarm is one of them: the end of --timeout.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.signal = number

    def as_error(self) -> Stopped | TimeUp:
        """The error to show."""
        if self.signal == signal.SIGALRM:
            return TimeUp("the run took longer than --timeout allows", hint="run it again, or allow it more time")
        return Stopped(self.signal)
