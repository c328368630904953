"""The command line of a worker: one more process on the same study."""

import sys
from argparse import Namespace
from pathlib import Path


def worker_command(options: Namespace, *, threads: int) -> list[str]:
    """The program and its arguments, for the study that `options` name. To be started in the same current folder."""
    return [*_program(as_script=options.as_script), *_study_arguments(options), "--worker", "--threads", str(threads)]


def _program(*, as_script: bool) -> list[str]:
    """The script of the repository, or the installed module. With -P no `core` of the current folder is imported."""
    if as_script:
        return [sys.executable, str(Path(__file__).with_name("run_study.py"))]
    return [sys.executable, "-P", "-m", "machine_listening", "study"]


def _study_arguments(options: Namespace) -> list[str]:
    named = {
        "--study": options.study,
        "--data": options.data,
        "--trials": options.trials,
        "--name": options.name,
        "--folds": options.folds,
        "--fold": options.fold,
        "--workers": options.workers,
        "--device": options.device,
        "--storage": options.storage,
        "--tracking-uri": options.tracking_uri,
        "--store": None if options.no_store else options.store,
        "--store-gb": options.store_gb,
        "--patience": options.patience,
        "--deadline": options.deadline,
        "--trial-timeout": options.trial_timeout,
    }
    words = [word for name, value in named.items() if value is not None for word in (name, str(value))]
    words += [word for text in options.set for word in ("--set", text)]
    flags = {
        "--skip-bad-files": options.skip_bad_files,
        "--no-store": options.no_store,
        "--no-finalists": options.no_finalists,
        "--keep-going": options.keep_going,
    }
    return [*words, *(flag for flag, is_set in flags.items() if is_set)]
