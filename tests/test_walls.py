"""The walls between the rooms: who may import what."""

import ast
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def _imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            names.add((node.module or "").split(".")[0])
    return names


def test_importing_the_whole_core_brings_in_neither_optuna_nor_mlflow() -> None:
    modules = [".".join(p.relative_to(ROOT).with_suffix("").parts) for p in sorted((ROOT / "core").rglob("*.py"))]
    code = (
        f"import sys, importlib\n[importlib.import_module(m) for m in {modules!r}]\n"
        "print([m for m in ('optuna', 'mlflow', 'hpo') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_core_names_nothing_of_the_search() -> None:
    for path in (ROOT / "core").rglob("*.py"):
        assert not _imports(path) & {"optuna", "mlflow", "hpo"}, path


def test_only_tracking_imports_mlflow() -> None:
    importers = {p.relative_to(ROOT).as_posix() for p in (ROOT / "hpo").rglob("*.py") if "mlflow" in _imports(p)}
    assert importers == {"hpo/tracking.py"}


def test_only_the_search_space_calls_suggest() -> None:
    callers = {
        p.relative_to(ROOT).as_posix()
        for p in (ROOT / "hpo").rglob("*.py")
        for node in ast.walk(ast.parse(p.read_text()))
        if isinstance(node, ast.Attribute) and node.attr.startswith("suggest_")
    }
    assert callers == {"hpo/search_space.py"}


def test_no_file_of_hpo_hides_a_library() -> None:
    """`python hpo/run_study.py` has hpo/ on the path until its first line has run."""
    for path in (ROOT / "hpo").glob("*.py"):
        assert path.stem not in sys.stdlib_module_names, path
        assert path.stem not in {"optuna", "mlflow", "torch", "datasets", "plotly", "pandas", "sklearn", "librosa"}
