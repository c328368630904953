"""machine-listening sync STUDY: makes a study's runs in MLflow agree with its trials in Optuna.

Exit codes: 0 both agree now, 1 something is left (a line names it), 2 a user's mistake.
"""

import argparse
import sys
from pathlib import Path

from core.command_line import Parser, run_command
from core.project import find_project

PROGRAM = "machine-listening sync"


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = Parser(
        prog=PROGRAM,
        description="Repairs a study's runs in MLflow from its trials in Optuna and from the files of this machine.",
        examples=[f"{PROGRAM} quickstart-simulated"],
    )
    parser.add_argument("study", metavar="STUDY", help="the study's name, as in runs/")
    parser.add_argument("--storage", metavar="URL", help="Optuna's (default: its variable, .env, runs/optuna.journal)")
    parser.add_argument("--tracking-uri", metavar="URI", help="MLflow's (default: its variable, .env, runs/mlflow.db)")
    return parser.parse_args(arguments)


def main(arguments: list[str], root: Path) -> int:
    return run_command(lambda: _sync(parse(arguments), root))


def _sync(options: argparse.Namespace, root: Path) -> int:
    from hpo.results.sync_study import sync_lines, sync_study  # here, because --help should not wait for Optuna

    synced = sync_study(
        options.study, storage=options.storage, tracking_uri=options.tracking_uri, root=root, warn=print
    )
    print("\n".join(sync_lines(options.study, synced)))
    return 1 if synced.has_left else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], find_project().root))
