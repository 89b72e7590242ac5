"""The same tags as docker/metadata-action, in the same order, apart from the differences on purpose."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from publisher.model.facts import Facts
from publisher.planning.candidates import PlanRequest, candidates
from publisher.planning.plan import make_plan

TABLES = json.loads((Path(__file__).parent.parent / "data" / "rules" / "tables.json").read_text())
NOW = datetime(2020, 1, 10, 0, 30, tzinfo=UTC)


def facts(event: str) -> Facts:
    """What surrounds a run of that event."""
    return Facts(now=NOW, committed=NOW, in_ci=True, **TABLES["events"][event])


@pytest.mark.parametrize("row", TABLES["rows"], ids=lambda row: f"{row['event']}-{'+'.join(row['rules'])}"[:90])
def test_same_tags(row: dict[str, Any]) -> None:
    """The rules give the tags of the table, tag for tag."""
    request = PlanRequest(rules=tuple(row["rules"]), flavor=tuple(row.get("flavor", ())))
    plan = make_plan(candidates(request, facts(row["event"])), {})
    assert list(plan.tags) == row["tags"]
    assert plan.version == (row["tags"][0] if row["tags"] else None)


def test_images_before_tags() -> None:
    """Each image gets all tags, one image after the other; a disabled one gets none."""
    images = ("Org/App", "name=ghcr.io/user/app,enable=true", "other/app,enable=false")
    request = PlanRequest(images=images, rules=("type=ref,event=branch", "type=sha"))
    plan = make_plan(candidates(request, facts("push_dev")), {})
    assert plan.tags == (
        *("org/app:dev", "org/app:sha-860c190"),
        *("ghcr.io/user/app:dev", "ghcr.io/user/app:sha-860c190"),
    )
