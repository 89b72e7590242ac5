"""publish: put container images into registries and keep their tags true.

The names in `__all__` are what programs may use; docs/library.md shows how. Each is imported when it is asked for.
"""

__version__ = "0.1.0"

_HOMES = {
    "Session": "publisher.workflows.session",
    "Teller": "publisher.report.progress",
    "PlanOptions": "publisher.workflows.jobs",
    "Job": "publisher.workflows.jobs",
    "jobs": "publisher.workflows.jobs",
    "planned": "publisher.workflows.plan",
    "ReleaseDraft": "publisher.workflows.jobs",
    "ReleaseOptions": "publisher.workflows.release",
    "prepare": "publisher.workflows.release",
    "release": "publisher.workflows.release",
    "Run": "publisher.workflows.record",
    "RetagOptions": "publisher.workflows.retag",
    "retag": "publisher.workflows.retag",
    "Expectation": "publisher.workflows.verify",
    "verify_references": "publisher.workflows.verify",
    "status": "publisher.workflows.status",
    "reconcile": "publisher.workflows.reconcile",
    "Reference": "publisher.model.reference",
    "Repository": "publisher.model.reference",
    "Digest": "publisher.model.digest",
    "Plan": "publisher.model.plan",
    "Move": "publisher.model.plan",
    "Receipt": "publisher.model.receipt",
    "Change": "publisher.model.receipt",
    "encode": "publisher.model.codec",
    "PublishError": "publisher.model.errors",
    "Sandbox": "publisher.sandbox.server",
    "SandboxOptions": "publisher.sandbox.options",
    "history_svg": "publisher.report.history_plot",
}
_OTHERWISE = {"SandboxOptions": "Options"}
__all__ = ["__version__", *_HOMES]  # noqa: PLE0604 - the stub beside it lists them one by one


def __getattr__(name: str) -> object:
    """Import the name's module now: what a program doesn't use costs it nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module 'publisher' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), _OTHERWISE.get(name, name))


def __dir__() -> list[str]:
    return sorted(__all__)
