"""What a shell completes after a command: what this machine's receipts know, since a registry would answer too late."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from publisher.model.reference import Reference

if TYPE_CHECKING:
    import click

    from publisher.model.receipt import Receipt


def receipt_ids(_ctx: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    """The ids of receipts, newest first."""
    return [one.id for one in _receipts() if one.id.startswith(begun)]


def references(_ctx: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    """The references that runs on this machine wrote, as docker's users write them."""
    names = (Reference.parse(change.reference).familiar for one in _receipts() for change in one.moves)
    return [name for name in dict.fromkeys(names) if name.startswith(begun)]


def versions(_ctx: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    """The versions that were released from this machine."""
    found = (one.plan.release for one in _receipts() if one.plan and one.plan.release)
    return [version for version in dict.fromkeys(found) if version.startswith(begun)]


def _receipts() -> tuple[Receipt, ...]:
    from publisher.receipts.journal import Journal, state_folder

    return Journal(state_folder(os.environ) / "receipts").list()[0]
