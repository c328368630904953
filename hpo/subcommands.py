"""The command `machine-listening`: one door to the study, the survey, detection, the pages and the store.

It works in the project that the current folder lies in (core/project.py) and says which one that is. Libraries are
imported by the subcommand that needs them, and after its arguments have been checked.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path

from core import __version__
from core.command_line import Parser, run_command
from core.errors import UserError, did_you_mean
from core.project import find_project
from hpo.search.workers import PARENT_VARIABLE

PROGRAM = "machine-listening"
EXAMPLES = (
    "machine-listening survey folder:recordings/                        # what is there",
    "machine-listening study --data folder:recordings/ --trials 50      # search for the best detector",
    "machine-listening ui                                               # its curves in a browser",
    "machine-listening detect runs/any_machine-recordings/winner new.wav # judge new recordings",
    "machine-listening SUBCOMMAND --help                                # options and examples of each",
)


def study(arguments: list[str], root: Path) -> int:
    from hpo.run_study import main_of_process

    main_of_process(arguments, root, f"{PROGRAM} study")


def survey(arguments: list[str], root: Path) -> int:
    from core.survey import main

    return main(arguments, root)


def detect(arguments: list[str], root: Path) -> int:  # noqa: ARG001 (its files are named by their paths alone)
    from core.detect import main

    return main(arguments, prog="machine-listening detect")


def ui(arguments: list[str], root: Path) -> int:
    from hpo.stack.ui import main

    return main(arguments, root)


def store(arguments: list[str], root: Path) -> int:
    from core.store import main

    return main(arguments, root)


def audit(arguments: list[str], root: Path) -> int:
    from hpo.audit import main

    return main(arguments, root)


def sync(arguments: list[str], root: Path) -> int:
    from hpo.sync import main

    return main(arguments, root)


SUBCOMMANDS: dict[str, tuple[Callable[[list[str], Path], int], str]] = {
    "study": (study, "search for a detector: runs, resumes or joins a study"),
    "survey": (survey, "show what a source of recordings holds"),
    "detect": (detect, "judge recordings with the winner of a study"),
    "ui": (ui, "serve MLflow's pages and the Optuna dashboard until Ctrl-C"),
    "audit": (audit, "compare a study in Optuna with its runs in MLflow"),
    "sync": (sync, "repair a study's runs in MLflow from Optuna"),
    "store": (store, "show or empty the store of decoded audio"),
}


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code of the subcommand; 2 where there is none of the name."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments and arguments[0] in SUBCOMMANDS:
        name, *its_own = arguments
        return run_command(lambda: SUBCOMMANDS[name][0](its_own, _root(name, its_own)))
    return run_command(lambda: _parse(arguments))


def _root(name: str, arguments: list[str]) -> Path:
    """The project's folder, which is said in a line. `detect` and --help need no project, and end at no marker."""
    if name == "detect" or {"-h", "--help"} & set(arguments):
        return Path.cwd()
    project = find_project()
    if PARENT_VARIABLE not in os.environ:  # the process that started a worker has said it
        print(f"Project: {project}", flush=True)
    return project.root


def _parse(arguments: list[str]) -> int:
    """Handles --help and --version. UserError for anything else."""
    width = max(map(len, SUBCOMMANDS))
    listed = "\n".join(f"  {name:{width}}  {what}" for name, (_, what) in SUBCOMMANDS.items())
    parser = Parser(
        prog=PROGRAM,
        usage=f"{PROGRAM} SUBCOMMAND ...",
        description=f"Detects faults of machines by their sound.\n\nsubcommands:\n{listed}",
        examples=EXAMPLES,
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    _, unknown = parser.parse_known_args(arguments)
    got, near = (repr(unknown[0]), did_you_mean(unknown[0], SUBCOMMANDS)) if unknown else ("nothing", "")
    raise UserError(f"The subcommand must be one of {', '.join(SUBCOMMANDS)}, but got {got}.{near} See --help.")
