"""The README and docs/: every path, option and link that they name exists, and their quick commands are run."""

import contextlib
import io
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from hpo.search.study_file import load_study_file
from hpo.subcommands import SUBCOMMANDS, main

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
LINK = re.compile(r"\]\(([^)#\s]*)(#[^)\s]+)?\)")
FOLDERS = ("core/", "hpo/", "studies/", "tests/", "docs/", "benchmarks/")
MOST_README_LINES = 230


def helps() -> str:
    """What --help of every subcommand prints."""
    text = io.StringIO()
    for name in SUBCOMMANDS:
        with contextlib.redirect_stdout(text), contextlib.suppress(SystemExit):
            main([name, "--help"])
    return text.getvalue()


def anchor_of(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for path, anchor in LINK.findall(text):
        if path.startswith("http"):
            continue
        target = (page.parent / path) if path else page
        assert target.exists(), f"{page.name} links to {path}"
        if anchor:
            headings = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), flags=re.MULTILINE)
            assert anchor[1:] in map(anchor_of, headings), f"{page.name} links to {path}{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_path_of_the_project_exists(page: Path) -> None:
    named = re.findall(r"`([\w./*-]+)`", page.read_text(encoding="utf-8"))
    for path in (path for path in named if path.startswith(FOLDERS)):
        assert list(ROOT.glob(path)), f"{page.name} names {path}"


def test_every_option_is_one_of_a_command_s() -> None:
    known = set(re.findall(r"--[a-z][a-z-]+", helps()))
    for page in PAGES:
        for option in re.findall(r"`(--[a-z][a-z-]+)", page.read_text(encoding="utf-8")):
            assert option in known, f"{page.name} names {option}"


def test_every_make_target_is_there() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    for page in PAGES:
        named = re.findall(r"(?:`|^    )make ([a-z-]+)", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
        assert set(named) <= targets, page.name


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= MOST_README_LINES


def test_the_tree_names_every_file_once() -> None:
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    tree = text[text.index("## The tree") :]
    named = (path for path in tree_paths(tree) if path.startswith(("core/", "hpo/")))
    assert sorted(named) == sorted(
        path.relative_to(ROOT).as_posix()
        for top in ("core", "hpo")
        for path in (ROOT / top).rglob("*.py")
        if path.name != "__init__.py"
    )


def tree_paths(tree: str) -> Iterator[str]:
    folders: list[str] = []
    for indent, name in re.findall(r"^( *)([\w.]+/?)(?:  .*|)$", tree, flags=re.MULTILINE):
        folders = folders[: len(indent) // 2]
        if name.endswith("/"):
            folders.append(name)
        elif name.endswith(".py"):
            yield "".join(folders) + name


def examples_of(page: str, beginning: str) -> list[str]:
    """The command lines of a page that begin so, without their comments."""
    text = (ROOT / page).read_text(encoding="utf-8")
    lines = re.findall(rf"^    ({re.escape(beginning)}.*)$", text, flags=re.MULTILINE)
    return [line.partition("  #")[0].strip() for line in lines]


def test_the_four_commands_for_own_recordings_work_from_an_empty_folder(tmp_path: Path) -> None:
    """As the README has them, with one trial of one epoch in place of twenty."""
    make, survey, study, detect = (
        *examples_of("README.md", "mkdir"),
        *examples_of("README.md", "machine-listening survey"),
        *examples_of("README.md", "machine-listening study"),
        *examples_of("README.md", "machine-listening detect"),
    )
    assert "--trials 20" in study
    study = study.replace("--trials 20", "--trials 1 --set training.epochs=1 --no-finalists --workers 1")
    run(make, tmp_path)
    (tmp_path / "new").mkdir()
    sounds = np.random.default_rng(1).normal(0, 0.1, (20, 5 * 8000))
    for index, sound in enumerate(sounds):
        folder = "new" if index == 0 else "recordings/normal" if index < 12 else "recordings/anomalous"
        soundfile.write(tmp_path / folder / f"{index}.wav", sound, 8000)
    assert "19 (11 normal, 8 anomalous)" in run(survey, tmp_path)
    assert "Detector: runs/any_machine-recordings/winner" in run(study, tmp_path)
    assert "sigmas, threshold 2.00" in run(detect, tmp_path, codes=(0, 1))
    assert {path.name for path in tmp_path.iterdir()} == {"recordings", "new", "runs", "machine-listening.toml"}
    run_the_quick_commands_of_the_docs(tmp_path)


def run_the_quick_commands_of_the_docs(project: Path) -> None:
    """Those of docs/data.md and docs/detect.md, for the study that is there. ToyADMOS and the Hub are left out."""
    quick = [line for line in examples_of("docs/data.md", "machine-listening") if "recordings/" in line]
    assert len(quick) == 2
    for line in quick:
        assert "recordings" in run(line, project)
    (project / "takes").mkdir()
    (project / "more").mkdir()
    sound = np.random.default_rng(2).normal(0, 0.1, 20 * 8000)
    for name in ("take.wav", "takes/a.wav", "more/b.flac"):
        soundfile.write(project / name, sound, 8000)
    for line in examples_of("docs/detect.md", "machine-listening detect"):
        assert "sigmas, threshold" in run(line.replace("runs/STUDY", "runs/any_machine-recordings"), project, (0, 1))
    assert (project / "events.csv").read_text().startswith("file,decision,score_sigmas,threshold_sigmas,")
    assert "<html" in (project / "page.html").read_text()


def run(line: str, folder: Path, codes: tuple[int, ...] = (0,)) -> str:
    """Runs a command line with a shell, as a person does; returns its output."""
    program = f"{sys.executable} -m machine_listening"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        line.replace("machine-listening", program, 1),
        shell=True,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in codes, f"{line}: {done.stdout}{done.stderr}"
    return done.stdout


def test_the_study_file_of_its_page_is_a_study_as_it_stands(tmp_path: Path) -> None:
    (text, *_) = re.findall(r"```toml\n(.*?)```", (ROOT / "docs/study-file.md").read_text(), flags=re.DOTALL)
    (tmp_path / "page.toml").write_text(text)
    spec = load_study_file(tmp_path / "page.toml")
    spec.search_space.check_box(spec.limits.max_layers, spec.limits.max_weights, num_channels=4)


@pytest.mark.parametrize("page", ["README.md", "docs/data.md", "docs/stack.md", "docs/detect.md"])
def test_commands_of_ours_have_options_that_they_know(page: str) -> None:
    for line in examples_of(page, "machine-listening") + examples_of(page, "python hpo/run_study.py"):
        words = line.replace("python hpo/run_study.py", "machine-listening study").split()
        text = io.StringIO()
        with contextlib.redirect_stdout(text), contextlib.suppress(SystemExit):
            main([words[1], "--help"])
        for option in (word for word in words if word.startswith("--")):
            assert option in text.getvalue(), line
