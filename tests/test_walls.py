"""The walls between the wings: which wing may import which, and which files may import Optuna and MLflow."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CORE_ORDER = [
    {"core.audio_suffixes", "core.errors", "core.whole_file"},
    {
        "core.assignments",
        "core.command_line",
        "core.damaged_file",
        "core.full_disk",
        "core.output_file",
        "core.project",
        "core.study_files",
        "core.thread_pool",
        "core.web_page",
    },
    {"core.data"},
    {"core.sources"},
    {"core.model"},
    {"core.decision"},
    {"core.experiment", "core.baselines", "core.detection", "core.surveying"},
    {"core.survey", "core.detect", "core.store"},
]
"""From the ground up. A file imports from its own wing and from the floors below."""
HPO_ORDER = [
    {"hpo.tracking"},
    {"hpo.search"},
    {"hpo.results", "hpo.stack"},
    {"hpo.pages"},
    {"hpo.terminal"},
    {"hpo.session"},
    {"hpo"},
]
"""All floors are above core. The files directly in hpo/ are the command line, one wing."""


def modules_of(top: str) -> dict[str, Path]:
    """By dotted name; a package by its own."""
    paths = sorted((ROOT / top).rglob("*.py"))
    return {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in paths}


def imports_of(path: Path) -> Iterator[str]:
    """Dotted names, those inside functions included; `from a import b` gives a.b."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def wing_of(name: str, order: list[set[str]]) -> tuple[int, str] | None:
    """The floor and the wing of a dotted name, or None."""
    found = [(i, w) for i, floor in enumerate(order) for w in floor if name == w or name.startswith(f"{w}.")]
    return max(found, key=lambda each: len(each[1]), default=None)


@pytest.mark.parametrize(("top", "order"), [("core", CORE_ORDER), ("hpo", HPO_ORDER)])
def test_a_wing_imports_only_wings_below_it(top: str, order: list[set[str]]) -> None:
    wrong = []
    for name, path in modules_of(top).items():
        if name == top:
            continue
        here = wing_of(name, order)
        assert here is not None, f"{name} stands in no wing: give it one in this file's list"
        assert here[1] != top or name.count(".") == 1, f"{name} stands in a folder that is in no wing"
        for imported in imports_of(path):
            if not imported.startswith(f"{top}."):
                continue
            there = wing_of(imported, order)
            assert there is not None, f"{name} imports {imported}, which stands in no wing"
            if there[1] != here[1] and there[0] >= here[0]:
                wrong.append(f"{name} imports {imported}")
    assert wrong == []


def test_the_servers_need_only_tracking_and_search() -> None:
    for name, path in modules_of("hpo").items():
        if name.startswith("hpo.stack"):
            mine = {imported for imported in imports_of(path) if imported.startswith("hpo.")}
            allowed = ("hpo.tracking.", "hpo.search.", "hpo.stack.")
            assert {i for i in mine if not i.startswith(allowed)} == set(), name


def test_no_imports_run_in_a_circle() -> None:
    modules = modules_of("core") | modules_of("hpo")
    graph = {
        name: {m for i in imports_of(p) for m in modules if i == m or i.startswith(f"{m}.")} - {name}
        for name, p in modules.items()
    }
    graph = {name: {m for m in to if not name.startswith(f"{m}.")} for name, to in graph.items()}
    while leaves := {name for name, to in graph.items() if not to}:
        graph = {name: to - leaves for name, to in graph.items() if name not in leaves}
    assert graph == {}


def test_importing_the_whole_core_brings_in_neither_optuna_nor_mlflow() -> None:
    code = (
        f"import sys, importlib\n[importlib.import_module(m) for m in {sorted(modules_of('core'))!r}]\n"
        "print([m for m in ('optuna', 'mlflow', 'hpo') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def tops_of(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imports_of(path)}


def test_core_names_nothing_of_the_search() -> None:
    for path in (ROOT / "core").rglob("*.py"):
        assert not tops_of(path) & {"optuna", "mlflow", "hpo"}, path


def test_two_files_import_mlflow() -> None:
    importers = {name for name, path in modules_of("hpo").items() if "mlflow" in tops_of(path)}
    assert importers == {"hpo.tracking.mlflow", "hpo.tracking.mlflow_client"}


def test_only_the_parameters_call_suggest() -> None:
    callers = {
        name
        for name, path in modules_of("hpo").items()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr.startswith("suggest_")
    }
    assert callers == {"hpo.search.parameters"}


def test_no_file_of_hpo_hides_a_library() -> None:
    """`python hpo/run_study.py` has hpo/ on the path until its first line has run."""
    for path in (ROOT / "hpo").glob("*"):
        assert path.stem not in sys.stdlib_module_names, path
        assert path.stem not in {"optuna", "mlflow", "torch", "datasets", "plotly", "pandas", "sklearn", "librosa"}
