"""machine-listening audit STUDY: compares the trials of a study in Optuna with its runs in MLflow.

Exit codes: 0 both agree, 1 a record is lost, doubled or wrong, 2 a user's mistake.
"""

import argparse
import sys
from pathlib import Path

from core.command_line import Parser, run_command
from core.project import find_project

PROGRAM = "machine-listening audit"
DESCRIPTION = "Compares a study's trials in Optuna with its runs in MLflow: lost, doubled, wrong."


def parse_stores(arguments: list[str], *, program: str, description: str) -> argparse.Namespace:
    """The arguments of a command on both stores of a study."""
    parser = Parser(prog=program, description=description, examples=[f"{program} quickstart-simulated"])
    parser.add_argument("study", metavar="STUDY", help="the study's name, as in runs/")
    parser.add_argument("--storage", metavar="URL", help="Optuna's (default: its variable, .env, runs/optuna.journal)")
    parser.add_argument("--tracking-uri", metavar="URI", help="MLflow's (default: its variable, .env, runs/mlflow.db)")
    return parser.parse_args(arguments)


def main(arguments: list[str], root: Path | None = None) -> int:
    """`root` is the project's folder; by default `find_project` finds it."""
    return run_command(lambda: _audit(arguments, root or find_project().root))


def _audit(arguments: list[str], root: Path) -> int:
    options = parse_stores(arguments, program=PROGRAM, description=DESCRIPTION)
    from hpo.results.audit_study import audit_lines, audit_study  # here, because --help should not wait for Optuna

    audit = audit_study(options.study, storage=options.storage, tracking_uri=options.tracking_uri, root=root)
    print("\n".join(audit_lines(options.study, audit)))
    return 1 if audit.findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
