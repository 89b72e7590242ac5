from publisher.model.codec import encode as encode
from publisher.model.digest import Digest as Digest
from publisher.model.errors import PublishError as PublishError
from publisher.model.plan import Move as Move
from publisher.model.plan import Plan as Plan
from publisher.model.receipt import Change as Change
from publisher.model.receipt import Receipt as Receipt
from publisher.model.reference import Reference as Reference
from publisher.model.reference import Repository as Repository
from publisher.report.history_plot import history_svg as history_svg
from publisher.report.progress import Teller as Teller
from publisher.sandbox.options import Options as SandboxOptions
from publisher.sandbox.server import Sandbox as Sandbox
from publisher.workflows.jobs import Job as Job
from publisher.workflows.jobs import PlanOptions as PlanOptions
from publisher.workflows.jobs import ReleaseDraft as ReleaseDraft
from publisher.workflows.jobs import jobs as jobs
from publisher.workflows.plan import planned as planned
from publisher.workflows.reconcile import reconcile as reconcile
from publisher.workflows.record import Run as Run
from publisher.workflows.release import ReleaseOptions as ReleaseOptions
from publisher.workflows.release import prepare as prepare
from publisher.workflows.release import release as release
from publisher.workflows.retag import RetagOptions as RetagOptions
from publisher.workflows.retag import retag as retag
from publisher.workflows.session import Session as Session
from publisher.workflows.status import status as status
from publisher.workflows.verify import Expectation as Expectation
from publisher.workflows.verify import verify_references as verify_references

__version__: str
__all__ = [
    "Change",
    "Digest",
    "Expectation",
    "Job",
    "Move",
    "Plan",
    "PlanOptions",
    "PublishError",
    "Receipt",
    "Reference",
    "ReleaseDraft",
    "ReleaseOptions",
    "Repository",
    "RetagOptions",
    "Run",
    "Sandbox",
    "SandboxOptions",
    "Session",
    "Teller",
    "__version__",
    "encode",
    "history_svg",
    "jobs",
    "planned",
    "prepare",
    "reconcile",
    "release",
    "retag",
    "status",
    "verify_references",
]
