"""The command line: python hpo/run_study.py --trials 50

Runs, resumes or joins a study: `python hpo/run_study.py` in the repository, `machine-listening study` where the package
is installed. Exit codes: 0 done, 2 a user's mistake (one line names it), 130 interrupted.
"""

from __future__ import annotations  # so that an older Python gets as far as the line that says what it must be

import argparse
import math
import signal
import sys
import time
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parent.parent
if __name__ == "__main__":
    sys.path[0] = str(ROOT)  # instead of hpo/, which Python puts there: a file of hpo/ must not hide a library

from core.command_line import SOURCES, Parser, run_command  # noqa: E402 (the path comes first)
from core.errors import UserError  # noqa: E402
from core.study_files import OF_RECORDINGS, OF_SIMULATED, default_study, find_study_file, known_studies  # noqa: E402

SCRIPT = "python hpo/run_study.py"
EXAMPLES = (
    "{program}                                         # the quickstart study on a simulated machine",
    "{program} --trials 50                             # resumes it where it has fewer trials",
    "{program} --study cars_10s --data folder:cars/    # a study file by name, your own recordings",
    "{program} --study my.toml --dry-run               # shows space, split and estimate",
)

INSTEAD = ("--dry-run", "--once", "--rerun", "--page")
COMPANY = {
    "--fresh": ("a search or --once", ("--dry-run", "--rerun", "--page", "--worker")),
    "--warm-start": ("a search", (*INSTEAD, "--worker")),
    "--compare": ("a search or --dry-run", ("--once", "--rerun", "--page", "--worker")),
    "--worker": ("a search", INSTEAD),
    "--trials": ("a search", ("--once", "--rerun", "--page")),
    **dict.fromkeys(("--timeout", "--trial-timeout", "--keep-going"), ("a search", INSTEAD)),
}
"""What an option must come with, and the options that it cannot."""
MIN_FOLDS = 3


def parse(arguments: list[str], *, root: Path, program: str) -> argparse.Namespace:
    parser = Parser(
        prog=program,
        description="Search for a WaveNet that detects faults of a machine by its sound.",
        examples=[line.format(program=program) for line in EXAMPLES],
    )
    _add_what(parser)
    _add_how(parser, root)
    _add_instead(parser)
    options = parser.parse_args(arguments)
    options.study = find_study_file(options.study or default_study(options.data))
    options.as_script = program == SCRIPT
    if options.timeout is not None and options.deadline is None:
        options.deadline = time.time() + 60 * options.timeout
    _check_company(options)
    _check_folds(options)
    return options


def _add_what(parser: argparse.ArgumentParser) -> None:
    what = parser.add_argument_group("what is searched")
    what.add_argument(
        "--study",
        metavar="STUDY",
        help=f"study file: a path, or one of {', '.join(known_studies())} "
        f"(default: {OF_SIMULATED}, and with --data {OF_RECORDINGS})",
    )
    what.add_argument("--data", metavar="SOURCE", help=f"{SOURCES} (default: the study file's)")
    what.add_argument("--skip-bad-files", action="store_true", help="leave out recordings that cannot be used")
    what.add_argument("--trials", type=positive, metavar="N", help="the study's total (default: the study file's)")
    what.add_argument("--name", help="the study's name (default: from its file and its data)")
    what.add_argument("--fresh", action="store_true", help="archive the study of this name and start a new one")
    what.add_argument("--folds", type=positive, metavar="K", help="run the study once for each of K folds of the takes")
    what.add_argument("--fold", type=positive, metavar="I", help="with --folds: only this one, counted from 1")
    what.add_argument(
        "--warm-start",
        type=studies,
        metavar="STUDY,...",
        help="begin with the best configurations of these studies of the storage",
    )
    what.add_argument("--compare", action="store_true", help="train alternatives and compare them with the winner")
    what.add_argument("--no-finalists", action="store_true", help="choose the winner without training the best again")
    what.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="fix a parameter, or change a key of the study file (training.epochs=3)",
    )


def _add_how(parser: argparse.ArgumentParser, root: Path) -> None:
    how = parser.add_argument_group("how it runs")
    how.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    how.add_argument("--workers", type=positive, metavar="N", help="processes at once (default: the study file's)")
    how.add_argument("--threads", type=positive, metavar="N", help="threads a process (default: cores by processes)")
    how.add_argument("--worker", action="store_true", help="join the study and leave its report to another process")
    timeout = "stop after so long, report on the trials that have ended; the same command resumes the study"
    how.add_argument("--timeout", type=above_zero, metavar="MINUTES", help=timeout)
    trial_timeout = "end a trial after so long: it counts as pruned, or as failed before its first epoch's end"
    how.add_argument("--trial-timeout", type=above_zero, metavar="MINUTES", help=trial_timeout)
    keep_going = "after an unexpected error in a trial, print it, let the trial fail, and take the next one"
    how.add_argument("--keep-going", action="store_true", help=keep_going)
    how.add_argument("--deadline", type=above_zero, help=argparse.SUPPRESS)  # --timeout of the process that starts us
    _add_store(how.add_mutually_exclusive_group(), root / "runs/store")
    how.add_argument("--store-gb", type=above_zero, default=50.0, metavar="GB", help="its largest size (default: 50)")
    how.add_argument("--keep-gb", type=above_zero, default=2.0, metavar="GB", help="trainings kept (default: 2)")
    how.add_argument("--storage", metavar="URL", help="Optuna's (default: its variable, .env, runs/optuna.journal)")
    patience = "how long a database may be away (default: 10)"
    how.add_argument("--patience", type=above_zero, default=10.0, metavar="MINUTES", help=patience)
    how.add_argument("--tracking-uri", metavar="URI", help="MLflow's (default: its variable, .env, runs/mlflow.db)")


def _add_store(either: argparse._MutuallyExclusiveGroup, default: Path) -> None:
    either.add_argument(
        "--store", type=Path, default=default, metavar="DIR", help="decoded audio (default: runs/store)"
    )
    no_store = "decode or stream every time, for a disk that is too small"
    either.add_argument("--no-store", action="store_true", help=no_store)


def _add_instead(parser: argparse.ArgumentParser) -> None:
    instead = parser.add_argument_group("instead of a search").add_mutually_exclusive_group()
    instead.add_argument("--dry-run", action="store_true", help="show space, split and estimate; train nothing")
    instead.add_argument("--once", action="store_true", help="run one configuration: the default, changed by --set")
    instead.add_argument(
        "--rerun", type=natural, metavar="TRIAL", help="run an old trial again, configuration and seed"
    )
    instead.add_argument("--page", type=natural, metavar="TRIAL", help="make the page of plots of a trial")


def _check_company(options: argparse.Namespace) -> None:
    """UserError for an option of a search that came with another that is given instead of one, or joins one."""
    for name, (rule, excluded) in COMPANY.items():
        other = next((each for each in excluded if _is_given(options, each)), None)
        if other and _is_given(options, name):
            raise UserError(f"{name} must come with {rule}, but came with {other}. Leave one of them out.")


def _is_given(options: argparse.Namespace, name: str) -> bool:
    value = getattr(options, name.removeprefix("--").replace("-", "_"))
    return value is not None and value is not False  # a trial's number may be 0


def _check_folds(options: argparse.Namespace) -> None:
    if options.folds is not None and options.folds < MIN_FOLDS:
        raise UserError(f"--folds must be at least {MIN_FOLDS} (training, validation, test), but got {options.folds}.")
    if options.fold is not None and not 1 <= options.fold <= (options.folds or 0):
        of = f"{options.fold} of {options.folds}" if options.folds else f"{options.fold} without --folds"
        raise UserError(f"--fold must be 1 to the number of --folds, but got {of}.")
    wants_one = options.once or options.worker or options.rerun is not None or options.page is not None
    if options.folds and options.fold is None and wants_one:
        raise UserError("--folds must come with --fold where one study is meant, but came alone. Name the fold.")


def positive(text: str) -> int:
    value = int(text) if text.lstrip("-").isdigit() else 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1, but got {text!r}")
    return value


def studies(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise argparse.ArgumentTypeError(f"must be names of studies with commas between them, but got {text!r}")
    return list(dict.fromkeys(names))


def above_zero(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"must be a number above 0, but got {text!r}")
    return value


def natural(text: str) -> int:
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"must be a trial's number, but got {text!r}")
    return int(text)


def main(arguments: list[str], root: Path | None = None, program: str = SCRIPT) -> int:
    """`root` is the project's folder, by default the repository."""

    def command() -> int:
        options = parse(arguments, root=root or ROOT, program=program)
        signal.signal(signal.SIGTERM, _interrupt)
        from hpo.commands import run  # here, because --help and wrong arguments should not wait for PyTorch

        return run(options, root or ROOT)

    return run_command(command)


def main_of_process(arguments: list[str], root: Path | None = None, program: str = SCRIPT) -> NoReturn:
    """Runs `main` and exits. A second Ctrl-C, while Python waits for threads, ends the process without a traceback."""
    exit_code = main(arguments, root, program)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    sys.exit(exit_code)


def _interrupt(_number: int, _frame: object) -> NoReturn:
    """Treats SIGTERM as Ctrl-C: the trial is given back and its records are sent."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    main_of_process(sys.argv[1:])
