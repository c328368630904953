"""The command line: python hpo/run_study.py --trials 50

Runs, resumes or joins a study. Exit codes: 0 done, 2 a user's mistake (one line says which), 130 interrupted.
"""

import argparse
import math
import signal
import sys
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parent.parent
if __name__ == "__main__":
    sys.path[0] = str(ROOT)  # instead of hpo/, which Python puts there: our files must not hide a library's

from core.command_line import Parser  # noqa: E402 (the path comes first)
from core.errors import UserError  # noqa: E402

SOURCES = "simulated, folder:PATH, toyadmos:PATH, hub:OWNER/NAME or hub:PATH"


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = Parser(description="Search for a WaveNet that hears when a machine goes wrong.", allow_abbrev=False)
    what = parser.add_argument_group("what is searched")
    what.add_argument("--study", type=Path, default=ROOT / "studies/quickstart.toml", help="study file")
    what.add_argument("--data", metavar="SOURCE", help=f"{SOURCES} (default: the study file's)")
    what.add_argument("--skip-bad-files", action="store_true", help="go on without recordings that cannot be used")
    what.add_argument("--trials", type=positive, metavar="N", help="the study's total (default: the study file's)")
    what.add_argument("--name", help="the study's name (default: from its file and its data)")
    what.add_argument("--fresh", action="store_true", help="archive the study of this name and begin anew")
    what.add_argument("--folds", type=positive, metavar="K", help="the study once for each of K folds of the takes")
    what.add_argument("--fold", type=positive, metavar="I", help="with --folds: this one alone, from 1")
    what.add_argument("--compare", action="store_true", help="train the alternatives, too, and judge them beside")
    how = parser.add_argument_group("how it runs")
    how.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    how.add_argument("--workers", type=positive, metavar="N", help="processes at once (default: the study file's)")
    how.add_argument("--threads", type=positive, metavar="N", help="threads a process (default: the cores, shared out)")
    how.add_argument("--worker", action="store_true", help="join the study and leave its report to another process")
    how.add_argument(
        "--store", type=Path, default=ROOT / "runs/store", metavar="DIR", help="where decoded audio is kept"
    )
    how.add_argument("--store-gb", type=size, default=50.0, metavar="GB", help="how large it may grow (default: 50)")
    how.add_argument(
        "--no-store", action="store_true", help="decode or stream every time, for a disk that is too small"
    )
    how.add_argument(
        "--keep-gb", type=size, default=2.0, metavar="GB", help="how large the trainings may be afterwards (default: 2)"
    )
    how.add_argument("--storage", metavar="URL", help="Optuna's (default: its variable, .env, runs/)")
    how.add_argument("--tracking-uri", metavar="URI", help="MLflow's (default: its variable, .env, runs/mlflow.db)")
    instead = parser.add_argument_group("instead of a search").add_mutually_exclusive_group()
    instead.add_argument("--dry-run", action="store_true", help="show space, split and estimate; train nothing")
    instead.add_argument("--once", action="store_true", help="run the default configuration, changed by --set, alone")
    instead.add_argument(
        "--rerun", type=natural, metavar="TRIAL", help="run an old trial again, configuration and seed"
    )
    instead.add_argument("--page", type=natural, metavar="TRIAL", help="make the page of plots of a trial")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a parameter, with --once")
    options = parser.parse_args(arguments)
    if options.fresh and (options.page is not None or options.rerun is not None or options.worker or options.dry_run):
        raise UserError("--fresh must come with a search or --once, but came with something that needs the old study.")
    if options.set and not options.once:
        raise UserError("--set must come with --once, but came alone. A search takes its ranges from the study file.")
    _check_folds(options)
    return options


def _check_folds(options: argparse.Namespace) -> None:
    if options.fold is not None and not 1 <= options.fold <= (options.folds or 0):
        raise UserError(f"--fold must be 1 to the number of --folds, but got {options.fold} of {options.folds or 0}.")
    wants_one = options.once or options.worker or options.rerun is not None or options.page is not None
    if options.folds and options.fold is None and wants_one:
        raise UserError("--folds must come with --fold where one study is meant, but came alone. Name the fold.")
    if options.compare and (wants_one or options.dry_run):
        raise UserError("--compare must come with a search, but came with something else. Leave it out.")


def positive(text: str) -> int:
    value = int(text) if text.lstrip("-").isdigit() else 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1, but got {text!r}")
    return value


def size(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"must be a number of GB above 0, but got {text!r}")
    return value


def natural(text: str) -> int:
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"must be a trial's number, but got {text!r}")
    return int(text)


def main(arguments: list[str]) -> int:
    try:
        options = parse(arguments)
        signal.signal(signal.SIGTERM, _interrupt)
        from hpo.commands import run  # here, because --help and a typing mistake should not wait for PyTorch

        return run(options, ROOT)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _interrupt(_number: int, _frame: object) -> NoReturn:
    """A polite request to end is treated as Ctrl-C: the trial is given back and everything is put on record."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    exit_code = main(sys.argv[1:])
    # Another one while Python waits for threads to end is obeyed at once, instead of with a traceback.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    sys.exit(exit_code)
