"""Does a search pay on machines that the default configuration was not made for? Real studies of simulated machines.

    python benchmarks/machine_studies.py [--kinds pump valve] [--seeds 2 3]

A study is one run of `hpo/run_study.py --data folder:MACHINE`, which is that of studies/any_machine.toml: twelve trials
and the finalists. Its winner is compared with its trial 0, the default configuration, on the machine's test clips.
Intervals of 95 % are over machines. The same command resumes an interrupted one.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)  # so that `core` is found without being installed

from benchmarks.does_it_pay import interval
from benchmarks.simulated_machines import MACHINES, written_machine

ROOT = Path(__file__).resolve().parent.parent
FIGURES = ("f1", "recall", "false_alarms", "auc")


def run_study(recordings: Path, name: str) -> Path:
    """Runs or resumes the study of a machine. Returns its result."""
    command = [sys.executable, "hpo/run_study.py", "--data", f"folder:{recordings.resolve()}", "--name", name]
    subprocess.run(command, check=True, cwd=ROOT, stdout=sys.stderr)
    return ROOT / "runs" / name / "result.json"


def figures(result: Path) -> npt.NDArray[np.float64]:
    """(2, FIGURES): of trial 0 and of the winner."""
    found = json.loads(result.read_text())
    return np.array([[found[who]["test"][figure] for figure in FIGURES] for who in ("default", "winner")])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kinds", nargs="+", choices=list(MACHINES), default=list(MACHINES))
    parser.add_argument("--seeds", nargs="+", type=int, default=[2, 3])
    parser.add_argument("--folder", type=Path, default=Path("runs/other_machines"), help="where recordings are kept")
    options = parser.parse_args()
    print("| test: trial 0, winner | F1 | recall | false alarms | AUC | F1: winner minus trial 0 |")
    print("| --- | --- | --- | --- | --- | --- |")
    rows = []
    for kind in options.kinds:
        for seed in options.seeds:
            name = f"{kind}-{seed}"
            rows.append(figures(run_study(written_machine(options.folder / name, kind, seed=seed), f"machine-{name}")))
            print_row(name, rows[-1], f"{rows[-1][1, 0] - rows[-1][0, 0]:+.3f}")
    gains = np.array([row[1, 0] - row[0, 0] for row in rows])
    print_row("mean", np.mean(rows, axis=0), interval(gains))


def print_row(title: str, pair: npt.NDArray[np.float64], gain: str) -> None:
    cells = [f"{default:.3f}, {winner:.3f}" for default, winner in pair.T]
    print(f"| {title} | {' | '.join(cells)} | {gain} |", flush=True)


if __name__ == "__main__":
    main()
