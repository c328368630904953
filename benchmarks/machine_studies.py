"""Does a search pay where it is used? Real studies of simulated machines, or of recordings, a study for each fold.

    python benchmarks/machine_studies.py [--kinds pump valve] [--seeds 2 3]
    python benchmarks/machine_studies.py --recordings ../shared/recordings/cars ../shared/recordings/fan [--folds 4]

A study is one run of `hpo/run_study.py --data folder:PATH`, which is that of studies/any_machine.toml: twelve trials
and the finalists. Its winner is compared with its trial 0, the default configuration, on its test clips. Intervals of
95 % are over studies. The same command resumes an interrupted one.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)  # so that `core` is found without being installed

from benchmarks.intervals_over_cars import interval
from benchmarks.simulated_machines import MACHINES, written_machine
from hpo.results.result import RESULT_FILE
from hpo.session.study_names import fold_name

ROOT = Path(__file__).resolve().parent.parent
FIGURES = ("f1", "recall", "false_alarms", "auc")


def run_studies(recordings: Path, name: str, *, num_folds: int | None = None) -> dict[str, Path]:
    """Runs or resumes the study of these recordings, or one for each of their folds. Returns the results by study."""
    command = [sys.executable, "hpo/run_study.py", "--data", f"folder:{recordings.resolve()}", "--name", name]
    folds = ["--folds", str(num_folds)] if num_folds else []
    subprocess.run([*command, *folds], check=True, cwd=ROOT, stdout=sys.stderr)
    names = [fold_name(name, fold + 1) for fold in range(num_folds)] if num_folds else [name]
    return {each: ROOT / "runs" / each / RESULT_FILE for each in names}


def figures(result: Path) -> npt.NDArray[np.float64]:
    """(2, FIGURES): of trial 0 and of the winner."""
    found = json.loads(result.read_text())
    return np.array([[found[who]["test"][figure] for figure in FIGURES] for who in ("default", "winner")])


def results_of(options: argparse.Namespace) -> Iterator[tuple[str, Path]]:
    """Each study's name and result, as soon as it is there."""
    if options.recordings:
        for recordings in options.recordings:
            yield from run_studies(recordings, f"machine-{recordings.name}", num_folds=options.folds).items()
        return
    for kind in options.kinds:
        for seed in options.seeds:
            written = written_machine(options.folder / f"{kind}-{seed}", kind, seed=seed)
            yield from run_studies(written, f"machine-{kind}-{seed}").items()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kinds", nargs="+", choices=list(MACHINES), default=list(MACHINES))
    parser.add_argument("--seeds", nargs="+", type=int, default=[2, 3])
    parser.add_argument("--folder", type=Path, default=Path("runs/other_machines"), help="where recordings are kept")
    parser.add_argument("--recordings", nargs="+", type=Path, default=[], help="in place of simulated machines")
    parser.add_argument("--folds", type=int, default=4, help="of the recordings, a study each")
    options = parser.parse_args()
    print("| test: trial 0, winner | F1 | recall | false alarms | AUC | F1: winner minus trial 0 |")
    print("| --- | --- | --- | --- | --- | --- |")
    rows = []
    for name, result in results_of(options):
        rows.append(figures(result))
        print_row(name.removeprefix("machine-"), rows[-1], f"{rows[-1][1, 0] - rows[-1][0, 0]:+.3f}")
    gains = np.array([row[1, 0] - row[0, 0] for row in rows])
    print_row("mean", np.mean(rows, axis=0), interval(gains))


def print_row(title: str, pair: npt.NDArray[np.float64], gain: str) -> None:
    cells = [f"{default:.3f}, {winner:.3f}" for default, winner in pair.T]
    print(f"| {title} | {' | '.join(cells)} | {gain} |", flush=True)


if __name__ == "__main__":
    main()
