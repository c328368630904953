"""machine-listening sync STUDY: makes a study's runs in MLflow agree with its trials in Optuna.

Exit codes: 0 both agree now, 1 something is left (a line names it), 2 a user's mistake.
"""

import sys
from pathlib import Path

from core.command_line import run_command
from core.project import find_project
from hpo.audit import parse_stores

PROGRAM = "machine-listening sync"
DESCRIPTION = "Repairs a study's runs in MLflow from its trials in Optuna and from the files of this machine."


def main(arguments: list[str], root: Path | None = None) -> int:
    """`root` is the project's folder; by default `find_project` finds it."""
    return run_command(lambda: _sync(arguments, root or find_project().root))


def _sync(arguments: list[str], root: Path) -> int:
    options = parse_stores(arguments, program=PROGRAM, description=DESCRIPTION)
    from hpo.results.sync_study import sync_lines, sync_study  # here, because --help should not wait for Optuna

    synced = sync_study(
        options.study, storage=options.storage, tracking_uri=options.tracking_uri, root=root, warn=print
    )
    print("\n".join(sync_lines(options.study, synced)))
    return 1 if synced.has_left else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
