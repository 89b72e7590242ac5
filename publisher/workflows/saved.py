"""Plans that were saved, to be carried out exactly or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import msgspec
from msgspec.structs import replace

from publisher.model.errors import ConfigError, OutOfDate
from publisher.model.plan import Plan, Plans
from publisher.model.value import Value
from publisher.planning.difference import differences

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from publisher.model.facts import Facts
    from publisher.workflows.jobs import Wish

_SHOWN = 5


class SavedPlans(Value, frozen=True):
    """What `publish plan -o` wrote into `file`: plans by the image's name, "" where it has none."""

    file: Path
    plans: Mapping[str, Plan]

    @classmethod
    def read(cls, file: Path) -> Self:
        """Read a file; raises ConfigError."""
        try:
            found = msgspec.json.decode(file.read_bytes(), type=Plan | Plans)
        except OSError as error:
            raise ConfigError(f"the plan can't be read: {error.strerror}", reference=file) from error
        except (msgspec.MsgspecError, RecursionError) as error:
            raise ConfigError(
                f"this is no plan that publish saved: {error}", reference=file, hint="make one: publish plan -o FILE"
            ) from error
        return cls(file, found.plans if isinstance(found, Plans) else {"": found})

    def wish(self, wish: Wish, facts: Facts) -> Wish:
        """What has to be asked for to get the same plan again; what the options say comes first.

        The version is stated only where git doesn't: a tag says more, such as the v before it.
        """
        if len(self.plans) != 1:
            return wish
        ((name, plan),) = self.plans.items()
        return replace(
            wish,
            images=wish.images or (() if name else plan.images),
            labels={**plan.labels, **wish.labels},
            version=wish.version or (None if _is_in_git(plan.release, facts) else plan.release),
            only=wish.only or name or None,
        )

    def hold(self, name: str | None, fresh: Plan) -> None:
        """Refuse, with the difference, where registry, git or source have moved on since the plan was saved."""
        saved = self.plans.get(name or "")
        found = differences(saved, fresh) if saved else (f"it has no plan for the image {name or fresh.images}",)
        if found:
            more = f"; and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
            raise OutOfDate(
                f"the plan is out of date: {'; '.join(found[:_SHOWN])}{more}",
                reference=self.file,
                hint="plan again, and give --rule and --flavor to both: publish plan -o FILE",
            )


def _is_in_git(version: str | None, facts: Facts) -> bool:
    named = (*facts.head_tags, facts.ref)
    return version is None or any(name.endswith(version) for name in named)
