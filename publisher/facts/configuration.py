"""The configuration file: publish.toml, or [tool.publish] in pyproject.toml."""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from publisher.facts.build_checks import check_build_paths
from publisher.facts.checks import check
from publisher.facts.config_errors import InvalidSetting, locate_rule
from publisher.facts.conversion import convert
from publisher.facts.git import read_root
from publisher.model.errors import BadRule, ConfigError
from publisher.model.settings import Settings
from publisher.model.value import Place, Value

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from publisher.model.settings import TagSettings

OWN_NAME: Final = "publish.toml"
SHARED_NAME: Final = "pyproject.toml"
_NAMES: Final = (OWN_NAME, SHARED_NAME)
_TABLE: Final = ("tool", "publish")


class Configuration(Value, frozen=True):
    """Settings, and the folder that their paths are relative to. `file` is None where there is none."""

    settings: Settings = msgspec.field(default_factory=Settings)
    file: Path | None = None
    folder: Path = msgspec.field(default_factory=Path.cwd)

    def path(self, text: str) -> Path:
        """A path that stands in the file, made usable from anywhere."""
        return self.folder / text

    @contextmanager
    def locate_rules(self) -> Iterator[None]:
        """Tells of a wrong rule where in the file it stands, if it does."""
        try:
            yield
        except BadRule as error:
            if self.file is None:
                raise
            table = _TABLE if self.file.name == SHARED_NAME else ()
            raise locate_rule(error, self.file, _read(self.file), table, _tags(self.settings)) from error


class _ConfigFile(Value, frozen=True):
    """A configuration as read: `table` is where it starts within the file."""

    file: Path
    text: str
    table: tuple[str, ...]
    document: dict[str, Any]


def load(file: Path | None, directory: Path, environ: Mapping[str, str] = os.environ) -> Configuration:
    """Read `file`, else the nearest configuration from `directory` up to git's root, else take the defaults.

    environ: says how git sees the repository.

    Raises ConfigError with file, line where known, key, what was found and what is allowed.
    """
    source = _read_stated(file) if file else _find_nearest(directory, environ)
    if source is None:
        return Configuration(folder=directory)
    try:
        settings = convert(source.document)
        check(settings)
        check_build_paths(settings, source.file.parent, environ)
    except InvalidSetting as invalid:
        raise invalid.error(source.file, source.text, source.table) from invalid
    return Configuration(settings, source.file, source.file.parent)


def _tags(settings: Settings) -> dict[tuple[str, ...], TagSettings]:
    """The tables `[tags]`: that of all first, which stands in for those that images lack."""
    images = settings.images if isinstance(settings.images, dict) else {}
    return {("tags",): settings.tags, **{("images", name, "tags"): image.tags for name, image in images.items()}}


def has_shared_table(directory: Path) -> bool:
    """Whether the folder's pyproject.toml has our table."""
    file = directory / SHARED_NAME
    return file.is_file() and _read_shared(file) is not None


def _read_stated(file: Path) -> _ConfigFile:
    if not file.is_file():
        problem = "is not a file" if file.exists() else "does not exist"
        raise ConfigError(f"the configuration file {file} {problem}", reference=file, hint="see --config")
    source = _read_shared(file) if file.name == SHARED_NAME else _read_own(file)
    if source is None:
        raise ConfigError(f"{file} has no table [tool.publish]", reference=file, hint="add it, or name another file")
    return source


def _find_nearest(directory: Path, environ: Mapping[str, str]) -> _ConfigFile | None:
    for folder in _upwards(directory.absolute(), environ):
        own_file, shared_file = folder / OWN_NAME, folder / SHARED_NAME
        sources = [
            source
            for source in (
                own_file.is_file() and _read_own(own_file),
                shared_file.is_file() and _read_shared(shared_file),
            )
            if source
        ]
        if len(sources) > 1:
            raise ConfigError(
                f"{folder} has two configurations: {OWN_NAME}, and [tool.publish] in {SHARED_NAME}",
                reference=own_file,
                hint="keep one of them, or choose with --config",
            )
        if sources:
            return sources[0]
    return None


def _upwards(directory: Path, environ: Mapping[str, str]) -> Iterator[Path]:
    """The folders up to the root that git gives; without one only the directory: what lies above may be anybody's.

    git is asked only where there is something to read above.
    """
    yield directory
    above = [folder for folder in directory.parents if any((folder / name).is_file() for name in _NAMES)]
    root = read_root(directory, environ) if above else None
    if root is not None:
        yield from (folder for folder in above if folder.resolve().is_relative_to(root.resolve()))


def _read_own(file: Path) -> _ConfigFile:
    text = _read(file)
    return _ConfigFile(file, text, (), _parse(file, text))


def _read_shared(file: Path) -> _ConfigFile | None:
    text = _read(file)
    table: object = _parse(file, text)
    for key in _TABLE:
        table = table.get(key) if isinstance(table, dict) else None
    if table is None:
        return None
    if not isinstance(table, dict):
        raise ConfigError(f"{file}: tool.publish is not a table", reference=file, hint="write [tool.publish]")
    return _ConfigFile(file, text, _TABLE, table)


def _read(file: Path) -> str:
    try:
        return file.read_bytes().decode()
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file} is not UTF-8: {error.reason} at byte {error.start}", reference=file) from error
    except OSError as error:
        raise ConfigError(f"{file} can't be read: {error.strerror}", reference=file) from error


def _parse(file: Path, text: str) -> dict[str, Any]:
    import tomllib

    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        line = re.search(r"\bat line ([0-9]+)", str(error))
        place = Place(str(file), int(line[1]) if line else 0)
        message = f"{file} is not TOML: {error}"
        raise ConfigError(message, reference=file, hint="see https://toml.io", place=place) from error
