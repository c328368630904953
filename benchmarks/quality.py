"""Makes the tables of whole searches on the cars from nothing: the last part of `make reproduce-quality`.

    python benchmarks/quality.py --data folder:../shared/recordings/cars

Each task is a study file. Clips are judged by surprise (docs/by-surprise.md), and spliced events by innovations. Each
of a task's four folds is a separate search, which compares its winner with the alternatives. Two folds run at a time.
The same command resumes them after an interruption. The task's own metric is printed twice: with the one take that is
unlike all others of its car, and without it. The last tables are of what benchmarks/splices.py finds.
"""

import argparse
import queue
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(
        Path(__file__).resolve().parent.parent
    )  # so that `core` and `hpo` are found without being installed

from core.baselines.comparison_file import load_rows
from core.baselines.comparison_table import TITLES, Line, asked_metric, figure_text, lines_of
from hpo.folds import summarise_folds
from hpo.results.alternatives import COMPARISON_FILE
from hpo.session.study_names import fold_name

ROOT = Path(__file__).resolve().parent.parent
TASKS = {
    "cars_10s": "10 s clips, by surprise",
    "cars_1s": "1 s clips, by surprise",
    "cars_noise_6db": "10 s clips with noise at 6 dB, by surprise",
    "cars_spliced": "spliced events, by innovations",
    "cars_noise_0db": "10 s clips with noise at 0 dB, by surprise",
    "cars_noise_12db": "10 s clips with noise at 12 dB, by surprise",
}
DEFAULT_TASKS = tuple(TASKS)[:4]
SPLICED = "cars_spliced"
FOLDS = 4
ODD_TAKE = "normal/CAR01_NORMAL.flac"


def run_fold(task: str, fold: int, options: argparse.Namespace, tracking: "queue.Queue[Path]") -> None:
    """Runs one search on one core with its comparison. Writes its output to a file in runs/quality."""
    database = tracking.get()  # one database for each process, so that no two create its tables at once
    log = ROOT / "runs" / "quality" / f"{fold_name(task, fold)}.log"
    command = [sys.executable, "hpo/run_study.py", "--study", f"studies/{task}.toml", "--data", options.data]
    command += ["--name", task, "--folds", str(FOLDS), "--fold", str(fold), "--compare", "--workers", "1"]
    command += ["--threads", "1", "--tracking-uri", f"sqlite:///{database}"]
    command += ["--trials", str(options.trials)] if options.trials else []
    started = time.perf_counter()
    with log.open("w") as out:
        code = subprocess.run(command, cwd=ROOT, stdout=out, stderr=subprocess.STDOUT, check=False).returncode
    tracking.put(database)
    print(f"{fold_name(task, fold)}: exit code {code} after {time.perf_counter() - started:.0f} s", file=sys.stderr)
    if code:
        raise SystemExit(f"{fold_name(task, fold)} must end with exit code 0, but ended with {code}: see {log}.")


def print_task(task: str) -> None:
    """Figures over all folds, with and without the odd take."""
    studies = [ROOT / "runs" / fold_name(task, fold) for fold in range(1, FOLDS + 1)]
    print(f"\n## {TASKS[task]} (studies/{task}.toml)\n")
    summarise_folds(task, studies, ROOT / "runs" / f"{task}.folds")
    rows = [load_rows(study / COMPARISON_FILE) for study in studies]
    print(f"\n{compact_table(lines_of(rows), lines_of(rows, without=(ODD_TAKE,)))}", flush=True)


def compact_table(lines: Sequence[Line], without: Sequence[Line]) -> str:
    """The task's own metric with WaveNet's lead, on all takes and without the odd one; then all other metrics."""
    asked = asked_metric(lines)
    others = [name for name in TITLES if name in lines[0].figures and name not in (asked, "pauc")]
    head = ["detector", f"{TITLES[asked]}, all takes", "WaveNet ahead by", f"{TITLES[asked]} without the odd take"]
    head += ["WaveNet ahead by", *(TITLES[name] for name in others), "weights", "train s", "score s"]
    cells = [
        [
            line.name,
            figure_text(line.figures[asked]),
            figure_text(line.differences[asked], sign=True) if line.differences else "",
            figure_text(other.figures[asked]),
            figure_text(other.differences[asked], sign=True) if other.differences else "",
            *(f"{line.figures[name].value:.3f}" for name in others),
            f"{line.num_weights:,.0f}",
            f"{line.seconds_to_train:.0f}",
            f"{line.seconds_to_score:.1f}",
        ]
        for line, other in zip(lines, without, strict=True)
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *cells))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="folder:../shared/recordings/cars", help="the car recordings")
    parser.add_argument("--tasks", nargs="*", choices=TASKS, default=DEFAULT_TASKS, help="study files")
    parser.add_argument("--trials", type=int, help="of each search (default: the study file's)")
    parser.add_argument("--processes", type=int, default=2, help="folds at once")
    options = parser.parse_args()
    (ROOT / "runs" / "quality").mkdir(parents=True, exist_ok=True)
    tracking: queue.Queue[Path] = queue.Queue()
    for number in range(options.processes):
        tracking.put(ROOT / "runs" / "quality" / f"mlflow{number}.db")
    with ThreadPoolExecutor(options.processes) as pool:
        jobs = {
            task: [pool.submit(run_fold, task, fold, options, tracking) for fold in range(1, FOLDS + 1)]
            for task in options.tasks
        }
        for task, folds in jobs.items():
            for fold in folds:
                fold.result()
            print_task(task)
    if SPLICED in options.tasks:
        print("\n## What is found of spliced events (benchmarks/splices.py)\n", flush=True)
        subprocess.run([sys.executable, "benchmarks/splices.py", "--data", options.data], cwd=ROOT, check=True)


if __name__ == "__main__":
    main()
