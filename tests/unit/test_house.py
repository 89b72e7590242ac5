"""The shape of the house: what starts up, how long things may be, what the documents say."""

from __future__ import annotations

import ast
import os
import statistics
import subprocess
import sys
from pathlib import Path

import publisher
from publisher.cli.program import COMMANDS
from publisher.cli.schema import documents
from publisher.model import errors
from publisher.sandbox.server import Sandbox
from tests.support.layout import make_layout

ROOT = Path(__file__).parents[2]
MODULES = sorted((ROOT / "publisher").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
SHARED = sorted((ROOT / "tests" / "support").glob("*.py"))
# Participles that name nothing, and nouns of a private vocabulary: no public name of the house is one of them.
PARTICIPLES = """
    asked begun chosen filed found given held known looked made placed recorded said saved seen spoken told wanted
"""
NOUNS = """
    aside cargo complaint deed doubt errand fate gate ingredients leads look mark members mint patience persistence
    scene shelf stock stranger stray trouble truth way ways wire wish
"""
DOCUMENTS = {kind.__name__ for kind in documents().values()}
LIBRARY = """
    Change Digest Expectation Job Move Plan PlanOptions PublishError Receipt Reference ReleaseDraft ReleaseOptions
    Repository RetagOptions Run Sandbox SandboxOptions Session Teller __version__ encode history_svg jobs planned
    prepare reconcile release retag status verify_references
"""


def test_the_version_is_told_without_heavy_modules() -> None:
    """`publish --version` imports none of docker, requests, keyring, rich."""
    script = (
        "import sys; from publisher.cli.program import run; code = run(['--version'])\n"
        "heavy = {'docker', 'requests', 'keyring', 'rich', 'msgspec', 'semver'} & set(sys.modules)\n"
        "sys.exit(code or repr(heavy) if heavy else code)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_layout_is_sent_without_heavy_modules(tmp_path: Path) -> None:
    """A release to a registry, of a layout, where no engine is and nothing is signed, imports nothing for either."""
    make_layout(tmp_path / "layout", "1.0.0")
    script = (
        "import sys; from publisher.cli.program import run; code = run(sys.argv[1:])\n"
        "heavy = {'docker', 'requests', 'keyring', 'rich', 'cryptography', 'nacl', 'sigstore'} & set(sys.modules)\n"
        "heavy |= {name for name in sys.modules if name.startswith(('publisher.attest', 'publisher.sigstore'))}\n"
        "sys.exit(code or (repr(heavy) if heavy else 0))"
    )
    words = (f"oci:{tmp_path / 'layout'}", "--image", "yeong/app", "--version", "1.0.0", "-y")
    with Sandbox() as sandbox:
        environ = {
            "HOME": str(tmp_path), "PUBLISH_SANDBOX": sandbox.url, "PATH": os.defpath,
            "DOCKER_HOST": f"unix://{tmp_path}/none.sock",
        }  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-c", script, "release", *words],
            capture_output=True, text=True, check=False, env=environ, cwd=tmp_path,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_no_module_is_too_long() -> None:
    """None over 400 lines."""
    assert [str(path) for path in MODULES if len(path.read_text().splitlines()) > 400] == []


def test_functions_are_short() -> None:
    """The median is at most 8 lines, nine of ten at most 30."""
    lengths = sorted(
        (node.end_lineno or 0) - node.lineno + 1
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    assert statistics.median(lengths) <= 8
    assert lengths[len(lengths) * 9 // 10] <= 30


def test_every_command_has_its_file_and_help() -> None:
    """Each name in the help imports, with a docstring and without drawing the others in."""
    for name in COMMANDS:
        done = subprocess.run(
            [sys.executable, "-m", "publisher.cli", name, "--help"], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("Usage: publish ")
        assert "\\b" not in done.stdout, "examples stand on lines of their own"


def test_the_error_page_names_every_kind() -> None:
    """docs/errors.md lists each error class's kind beside its exit code."""
    page = (ROOT / "docs" / "errors.md").read_text()
    classes = [found for found in vars(errors).values() if isinstance(found, type) and issubclass(found, Exception)]
    rows = [line for line in page.splitlines() if line.startswith("|")]
    for found in classes:
        if issubclass(found, errors.PublishError):
            assert any(f"`{found.kind}`" in row and str(found.exit_code) in row.split("|")[1] for row in rows), found


def test_the_library_offers_these_names() -> None:
    """All that programs may use; a new one is a promise."""
    assert sorted(publisher.__all__) == LIBRARY.split()


def test_one_server_answers_for_all_fakes() -> None:
    """Tests write scripts for it, no servers of their own."""
    servers = [path.name for path in TESTS if {"http.server", "socketserver"} & _imports(path)]
    assert servers == ["http_server.py"]


def _imports(path: Path) -> set[str]:
    """The modules that a file imports anywhere in it, for types or when it needs them too."""
    modules: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return modules


def test_no_two_files_import_each_other() -> None:
    """Neither for types only nor inside functions."""
    imports = _imports_by_module()
    circles = [
        f"{one} <-> {other}" for one in imports for other in imports[one] if one < other and one in imports[other]
    ]
    assert circles == []


def test_a_class_name_has_one_meaning() -> None:
    """No two classes of the product, or of what tests share, have one name."""
    places: dict[str, list[str]] = {}
    for path in (*MODULES, *SHARED):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                places.setdefault(node.name, []).append(str(path.relative_to(ROOT)))
    assert {name: files for name, files in places.items() if len(files) > 1} == {}


def test_nothing_falls_back_to_latest() -> None:
    """A reference without a tag is an error where a tag is needed: no `or Tag("latest")`."""
    fallbacks = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.Or)
        if any(ast.unparse(value).endswith("Tag('latest')") for value in node.values)
    ]
    assert fallbacks == []


def test_a_short_file_that_one_other_imports_says_why_it_stands_alone() -> None:
    """Under 60 lines: its docstring has the words `stands alone`, and a reason; or it belongs into the other file."""
    imports = _imports_by_module()
    slips = [
        name
        for name, path in _paths_by_module().items()
        if path in MODULES and len(path.read_text().splitlines()) < 60
        if sum(name in others for importer, others in imports.items() if importer.startswith("publisher")) == 1
        if "stands alone" not in " ".join((ast.get_docstring(ast.parse(path.read_text())) or "").split())
    ]
    assert slips == []


def test_public_names_are_the_fields_words() -> None:
    """No module, class, function or property is called by a participle alone or by an invented noun."""
    forbidden = {*PARTICIPLES.split(), *NOUNS.split()}
    names = [(name, str(path.relative_to(ROOT))) for path in MODULES for name in _public_names(path)]
    assert sorted(name for name in names if name[0].lower() in forbidden) == []


def _public_names(path: Path) -> set[str]:
    """The module's own name, and its public classes, functions, methods and properties."""
    nodes = ast.walk(ast.parse(path.read_text()))
    defined = {node.name for node in nodes if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)}
    return {name for name in {path.stem, *defined} if not name.startswith("_")}


def _paths_by_module() -> dict[str, Path]:
    """The product's files and the tests', by the name that they are imported by."""
    paths = (*MODULES, *TESTS)
    return {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in paths}


def _imports_by_module() -> dict[str, set[str]]:
    """Which of these files each of them imports."""
    paths = _paths_by_module()
    return {name: _imports(path) & paths.keys() for name, path in paths.items()}
