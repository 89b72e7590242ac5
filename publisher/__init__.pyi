from publisher.library import LibrarySession as Session
from publisher.library import plan as plan
from publisher.library import release as release
from publisher.library import retag as retag
from publisher.library import status as status
from publisher.library import verify as verify
from publisher.model.codec import encode as encode
from publisher.model.documents import Status as Status
from publisher.model.documents import Verdicts as Verdicts
from publisher.model.errors import PublishError as PublishError
from publisher.model.plan import Plan as Plan
from publisher.model.receipt import Receipt as Receipt
from publisher.report.history_plot import history_svg as history_svg
from publisher.report.progress import Teller as Teller
from publisher.sandbox.options import Options as SandboxOptions
from publisher.sandbox.server import Sandbox as Sandbox
from publisher.workflows.jobs import PlanOptions as PlanOptions
from publisher.workflows.record import Run as Run
from publisher.workflows.release import ReleaseOptions as ReleaseOptions
from publisher.workflows.retag import RetagOptions as RetagOptions

__version__: str
__all__ = [
    "Plan",
    "PlanOptions",
    "PublishError",
    "Receipt",
    "ReleaseOptions",
    "RetagOptions",
    "Run",
    "Sandbox",
    "SandboxOptions",
    "Session",
    "Status",
    "Teller",
    "Verdicts",
    "__version__",
    "encode",
    "history_svg",
    "plan",
    "release",
    "retag",
    "status",
    "verify",
]
