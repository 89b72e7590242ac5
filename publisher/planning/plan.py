"""The plan: candidates, registries and content in; moves with reasons out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from publisher.model.plan import Action, Kind, Move, Plan
from publisher.planning.decisions import decide
from publisher.planning.lines import published_versions
from publisher.planning.scene import Known, held_already, set_scene
from publisher.planning.survey import drift

if TYPE_CHECKING:
    from collections.abc import Mapping

    from publisher.model.digest import Digest
    from publisher.model.reference import Repository
    from publisher.planning.candidates import Candidates, Image
    from publisher.planning.lines import Published
    from publisher.planning.scene import Scene

__all__ = ["Known", "make_plan"]
