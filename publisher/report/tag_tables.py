"""What a repository holds, as tables for people: its tags, its versions, and what nothing keeps."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from publisher.model.reference import described_digest
from publisher.report.cells import columns, wrap
from publisher.report.progress import size
from publisher.report.tables import paint, short, table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from publisher.model.digest import Digest
    from publisher.model.documents import Pruning, RepositoryStatus, Status, TagList

_BOLD: Final = "1"


def tags_text(tags: TagList, *, color: bool, width: int | None = None) -> str:
    """One line a tag; a column that no tag has anything in is left out. What belongs to an image stands in its line.

    A count is last, with how many were left out.
    """
    head = ("tag", "digest", "size", "pushed", "pulled", "platforms", "signed")
    described = frozenset(filter(None, (described_digest(tag.tag) for tag in tags.tags)))
    rows = [
        (
            tag.tag,
            short(tag.digest),
            "" if tag.size is None else size(tag.size),
            _day(tag.pushed),
            _day(tag.pulled),
            ", ".join(tag.platforms),
            "yes" if str(tag.digest) in described else "",
        )
        for tag in tags.tags
        if described_digest(tag.tag) is None
    ]
    lines = table(head, rows, color=color, width=width)
    name = tags.repository.familiar
    total = len(rows) + tags.omitted
    count = f"{f'{len(rows)} of ' if tags.omitted else ''}{'1 tag' if total == 1 else f'{total} tags'}"
    lone = len(described - {str(tag.digest) for tag in tags.tags})
    rest = f", and signatures of {_images(lone)} without a tag" if lone else ""
    return "\n".join([*(lines if rows else []), "", f"{name}: {count}{rest}"]) + "\n"


def _images(count: int) -> str:
    return "1 image" if count == 1 else f"{count} images"


def pruning_text(plan: Pruning, *, color: bool, width: int | None = None) -> str:
    """What goes, after what stays; a count, and what to run, last."""
    kept_rows = [(tag.tag, short(tag.digest), "kept", tag.reason) for tag in plan.kept]
    other_rows = [
        (tag.tag, short(tag.digest), "goes" if tag.state == "planned" else tag.state, tag.detail or tag.reason)
        for tag in plan.gone
    ]
    lines = (
        table(("tag", "digest", "state", "why"), [*kept_rows, *other_rows], color=color, width=width)
        if kept_rows or other_rows
        else []
    )
    deleted = sum(tag.state == "deleted" for tag in plan.gone)
    tally = f"{deleted} deleted" if plan.applied else f"{len(plan.gone)} would go"
    advice = [] if plan.applied or not plan.gone else ["-y deletes them"]
    return "\n".join([*lines, "", "; ".join([f"{len(plan.kept)} kept, {tally}", *advice])]) + "\n"


def _day(text: str | None) -> str:
    return (text or "")[:10]


def status_text(
    status: Status, ages: Mapping[Digest, str], *, color: bool, width: int | None = None, glob: str = "*"
) -> str:
    """Two tables a repository: its versions, and its floating tags beside where they belong.

    ages: how old the image under a digest is, as in 3 d. glob: what the tags that were looked at are like.
    """
    nothing = "nothing is published there yet" if glob == "*" else f"no tag there is like {glob}"
    blocks = (
        [paint(each.repository.familiar, _BOLD, color=color), nothing, ""]
        if each.is_empty
        else _repository_lines(each, ages, color=color, width=width)
        for each in status.repositories
    )
    lines = [line for block in blocks for line in block]
    if status.repositories and all(repository.is_empty for repository in status.repositories):
        return "\n".join(lines[:-1]) + "\n"
    return "\n".join([*lines, standing(status, glob)]) + "\n"


def _repository_lines(
    repository: RepositoryStatus, ages: Mapping[Digest, str], *, color: bool, width: int | None
) -> list[str]:
    """One repository's part, an empty line at its end."""
    lines = [paint(repository.repository.familiar, _BOLD, color=color)]
    versions = [
        (version.version, version.tag, short(version.digest), "yanked" if version.yanked else "")
        for version in repository.versions
    ]
    heads: tuple[str, ...] = ("version", "tag", "digest", "")
    lines += table(heads, versions, color=color, width=width) if versions else ["no versions"]
    if repository.omitted:
        lines += [f"and {repository.omitted} older: --all shows them"]
    floating = [
        (
            *(line.tag, short(line.digest), short(line.desired), line.version or ""),
            *(ages.get(line.digest, "") if line.digest else "", line.state),
        )
        for line in repository.floating
    ]
    heads = ("tag", "holds", "belongs", "version", "age", "state")
    lines += ["", *table(heads, floating, color=color, width=width)] if floating else []
    if repository.foreign:
        lines += ["", *wrap(_foreign(repository.foreign), width or columns(sys.stdout), "  ")]
    return [*lines, ""]


def _foreign(tags: Sequence[str]) -> str:
    """Tags that no rule speaks of; those that only describe images are counted."""
    described = frozenset(filter(None, map(described_digest, tags)))
    others = [tag for tag in tags if described_digest(tag) is None]
    texts = [f"other tags: {', '.join(others)}"] if others else []
    return "; ".join([*texts, *([f"signatures of {_images(len(described))}"] if described else [])])


def standing(status: Status, glob: str = "*") -> str:
    """How the floating tags that are like the glob stand, in one sentence."""
    if drifted := len(status.drifted):
        return f"{drift_text(drifted)} not in place"
    orphans = sum(line.state == "orphan" for repository in status.repositories for line in repository.floating)
    if orphans:
        some = "1 floating tag has" if orphans == 1 else f"{orphans} floating tags have"
        return f"{some} no version left; every other is true"
    return f"every floating tag{'' if glob == '*' else f' like {glob}'} is true"


def drift_text(count: int) -> str:
    """So many floating tags, with the verb that goes with it."""
    return "1 floating tag is" if count == 1 else f"{count} floating tags are"
