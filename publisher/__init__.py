"""publish: put container images into registries and keep their tags true.

The names in `__all__` are what programs may use; docs/library.md shows how. Each is imported when it is asked for.
"""

__version__ = "0.2.0"

_HOMES = {
    "plan": "publisher.library",
    "release": "publisher.library",
    "retag": "publisher.library",
    "status": "publisher.library",
    "verify": "publisher.library",
    "Session": "publisher.library",
    "PlanOptions": "publisher.workflows.jobs",
    "ReleaseOptions": "publisher.workflows.release",
    "RetagOptions": "publisher.workflows.retag",
    "Run": "publisher.workflows.record",
    "Teller": "publisher.report.progress",
    "Plan": "publisher.model.plan",
    "Receipt": "publisher.model.receipt",
    "Status": "publisher.model.documents",
    "Verdicts": "publisher.model.documents",
    "encode": "publisher.model.codec",
    "history_svg": "publisher.report.history_plot",
    "PublishError": "publisher.model.errors",
    "Sandbox": "publisher.sandbox.server",
    "SandboxOptions": "publisher.sandbox.options",
}
_OTHERWISE = {"Session": "LibrarySession", "SandboxOptions": "Options"}
__all__ = ["__version__", *_HOMES]  # noqa: PLE0604 - the stub beside it lists them one by one


def __getattr__(name: str) -> object:
    """Import the name's module now: what a program doesn't use costs it nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module 'publisher' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), _OTHERWISE.get(name, name))


def __dir__() -> list[str]:
    return sorted(__all__)
