"""examples/goalapp: it builds from nearly nothing, in an order that keeps its dependencies in the cache."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.engine import BUSYBOX

if TYPE_CHECKING:
    from tests.support.engine import EngineProcess

GOALAPP = Path(__file__).parents[2] / "examples" / "goalapp"


def make_base(engine: EngineProcess, folder: Path) -> str:
    """An image with busybox alone, as a base without node; returns its name."""
    folder.mkdir()
    shutil.copy(BUSYBOX, folder / "busybox")
    (folder / "Dockerfile").write_text(
        'FROM scratch\nCOPY busybox /bin/busybox\nRUN ["/bin/busybox", "--install", "/bin"]\n'
    )
    engine.docker("build", "-q", "-t", "goalapp-base", str(folder))
    return "goalapp-base"


def test_a_changed_source_keeps_the_dependencies(engine: EngineProcess, tmp_path: Path) -> None:
    """The app answers, and after a change of its page only the layers from there on are new."""
    base = make_base(engine, tmp_path / "base")
    app = shutil.copytree(GOALAPP, tmp_path / "app")
    layers = []
    for page in ("Goals", "Other goals"):
        (app / "public" / "index.html").write_text(page)
        engine.docker("build", "-q", "-t", "goalapp-test", "--build-arg", f"BASE={base}", str(app))
        shown = engine.docker("image", "inspect", "-f", '{{join .RootFS.Layers " "}}', "goalapp-test")
        layers.append(shown.split())
        serve = "sh /app/start.sh & sleep 1; wget -qO- http://127.0.0.1/health http://127.0.0.1/"
        assert engine.docker("run", "--rm", "--network", "none", "goalapp-test", "sh", "-c", serve) == f"ok\n{page}"
    first, second = layers
    assert first[:-1] == second[:-1]
    assert first[-1] != second[-1]
