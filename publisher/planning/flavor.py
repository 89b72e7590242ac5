"""The flavor of a set of rules: whether there is a `latest`, and what stands around every tag."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from msgspec.structs import replace

from publisher.model.errors import BadRule
from publisher.model.fields import fields, lines
from publisher.model.value import Value

LATEST: Final = "latest"


class Latest(StrEnum):
    """When a plan has `latest`: always, never, or by the first rule that gives a tag."""

    AUTO = "auto"
    TRUE = "true"
    FALSE = "false"


class Flavor(Value, frozen=True, kw_only=True):
    """prefix, suffix: of every rule that has none of its own; `latest` has them only with `…_on_latest`."""

    latest: Latest = Latest.AUTO
    prefix: str = ""
    suffix: str = ""
    prefix_on_latest: bool = False
    suffix_on_latest: bool = False

    @property
    def latest_name(self) -> str:
        """What `latest` is called here."""
        prefix = self.prefix if self.prefix_on_latest else ""
        return f"{prefix}{LATEST}{self.suffix if self.suffix_on_latest else ''}"


def read_flavor(texts: tuple[str, ...]) -> Flavor:
    """Read records such as `latest=auto` and `suffix=-alpine,onlatest=true`; raises BadRule."""
    flavor = Flavor()
    for text in lines(texts):
        flavor = _read(flavor, text)
    return flavor


def _read(flavor: Flavor, text: str) -> Flavor:
    try:
        given = fields(text)
    except ValueError as error:
        raise _wrong(text, str(error)) from error
    affix = ""
    for key, value in given:
        if key == "latest":
            flavor = replace(flavor, latest=_latest(text, value))
        elif key in {"prefix", "suffix"}:
            affix = key
            flavor = _with_affix(flavor, key, value)
        elif key == "onlatest" and affix:
            flavor = _on_latest(flavor, affix, _truth(text, value))
        elif key == "onlatest":
            raise _wrong(text, "onlatest stands beside no prefix or suffix")
        else:
            raise _wrong(text, f"'{key or value}' is no field of a flavor")
    return flavor


def _with_affix(flavor: Flavor, key: str, value: str) -> Flavor:
    return replace(flavor, prefix=value) if key == "prefix" else replace(flavor, suffix=value)


def _on_latest(flavor: Flavor, affix: str, value: bool) -> Flavor:
    if affix == "prefix":
        return replace(flavor, prefix_on_latest=value)
    return replace(flavor, suffix_on_latest=value)


def _latest(text: str, value: str) -> Latest:
    try:
        return Latest(value)
    except ValueError:
        raise _wrong(text, f"latest is '{value}'") from None


def _truth(text: str, value: str) -> bool:
    if value not in {"true", "false"}:
        raise _wrong(text, f"onlatest is '{value}'")
    return value == "true"


def _wrong(text: str, reason: str) -> BadRule:
    return BadRule(
        f"the flavor '{text}' is wrong: {reason}",
        rule=text,
        hint="allowed are latest=auto|true|false, prefix=P and suffix=S, the last two with onlatest=true|false",
    )
