"""--folds K: runs the study once for every fold of its takes, and summarises the winners over all folds.

Every fold is a study with its own search, named `<name>.fold1` and so on: a choice made in one fold has seen takes that
another fold tests on. The summary is in `runs/<name>.folds/`: folds.json and folds.html.
"""

import json
import os
from argparse import Namespace
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from core.baselines.comparison_file import load_rows
from core.baselines.comparison_table import Line, as_markdown, lines_of
from core.data.stand_ins import SENTENCES
from core.whole_file import write_text
from hpo.pages.folds_page import Spread, difference_of, folds_page, stand_ins_of, verdict_of
from hpo.pages.publish import REPORT_FILE
from hpo.results.alternatives import COMPARISON_FILE
from hpo.results.result import RESULT_FILE, without_nan
from hpo.search.stopping import is_past
from hpo.session.study_names import fold_name
from hpo.terminal.console import Console

FOLDS_FILE, FOLDS_PAGE = "folds.json", "folds.html"
METRICS = ("f1", "auc")


def run_folds(options: Namespace, root: Path, run_one: Callable[[Namespace], str], console: Console) -> int:
    """Runs or resumes every fold in turn, then summarises them. `run_one` returns the name of a fold's study."""
    names = []
    for fold in range(1, options.folds + 1):
        names.append(run_one(Namespace(**{**vars(options), "fold": fold})))
        if is_past(options.deadline):
            break
    base = names[0].removesuffix(fold_name("", 1))
    say_summary(base, options.folds, root, console)
    return 0


def say_summary(base: str, num_folds: int, root: Path, console: Console) -> None:
    """Writes and says the summary of all folds, or that it must wait for some."""
    studies = [root / "runs" / fold_name(base, fold) for fold in range(1, num_folds + 1)]
    num_whole = sum((study / RESULT_FILE).exists() for study in studies)
    if num_whole < num_folds:
        console.say(f"The summary must wait: {num_whole} of {num_folds} folds have a result.")
        return
    console.say(*summarise_folds(base, studies, root / "runs" / f"{base}.folds"))


def renew_summary(base: str, num_folds: int, root: Path, console: Console) -> None:
    """After one fold was run by itself: the summary of all, where there is one of so many folds."""
    file = root / "runs" / f"{base}.folds" / FOLDS_FILE
    if file.exists() and len(json.loads(file.read_text(encoding="utf-8"))["folds"]) == num_folds:
        say_summary(base, num_folds, root, console)


def summarise_folds(name: str, studies: Sequence[Path], directory: Path) -> list[str]:
    """Writes the summary of the folds' results, and of their comparisons where every fold has one. Returns its lines
    for a person."""
    results = [json.loads((study / RESULT_FILE).read_text(encoding="utf-8")) for study in studies]
    spreads, lines = spreads_of(results), compared(studies)
    directory.mkdir(exist_ok=True)
    table: dict[str, Any] = {"study": name, "folds": [result["study"] for result in results]}
    table |= {"figures": {key: asdict(spread) for key, spread in spreads.items()}}
    table |= {"stand_ins": stand_ins_of(results)}
    table |= {"comparison": [asdict(line) for line in lines]}
    write_text(directory / FOLDS_FILE, json.dumps(without_nan(table), indent=2) + "\n")
    reports = [f"../{study.name}/{REPORT_FILE}" for study in studies]
    write_text(directory / FOLDS_PAGE, folds_page(name, results, spreads, lines, reports=reports))
    sentences = [*(SENTENCES[name] for name in stand_ins_of(results)), *filter(None, [difference_of(results)])]
    verdicts = [verdict_of(result) for result in results]
    return [
        *folds_text(name, spreads, verdicts, lines),
        *sentences,
        f"Report:   {os.path.relpath(directory / FOLDS_PAGE)}",
    ]


def spreads_of(results: Sequence[dict[str, Any]]) -> dict[str, Spread]:
    """Mean and deviation of the winners' figures, by `validation_f1` and so on.

    A fold without a winner counts with an F1 and an AUC of 0.
    """
    spreads = {}
    for split in ("validation", "test"):
        for metric in METRICS:
            values = [(result["winner"] or {}).get(split, {}).get(metric) or 0.0 for result in results]
            spreads[f"{split}_{metric}"] = Spread(mean=fmean(values), deviation=stdev(values), values=tuple(values))
    return spreads


def compared(studies: Sequence[Path]) -> list[Line]:
    """The comparison of winners and alternatives over all folds; empty unless every fold has one."""
    files = [study / COMPARISON_FILE for study in studies]
    return lines_of([load_rows(file) for file in files]) if all(file.exists() for file in files) else []


def folds_text(name: str, spreads: dict[str, Spread], verdicts: Sequence[str], lines: Sequence[Line]) -> list[str]:
    num_folds = len(spreads["test_f1"].values)
    text = ["", f"{name} over {num_folds} folds, each with its own search: mean and deviation of the winners"]
    for split in ("validation", "test"):
        f1, auc = spreads[f"{split}_f1"], spreads[f"{split}_auc"]
        text.append(
            f"  {split:10}  F1 {f1.mean:.3f} +- {f1.deviation:.3f}, AUC {auc.mean:.3f} +- {auc.deviation:.3f} "
            f"(F1 by fold: {', '.join(f'{value:.3f}' for value in f1.values)})"
        )
    text.append(f"  by fold     {'; '.join(verdicts)}")
    return [*text, "", as_markdown(lines)] if lines else text
