"""The arguments of the command `detect`."""

import argparse
import math
from contextlib import suppress
from pathlib import Path

from core.command_line import Parser

EXAMPLES = (
    "{prog} runs/STUDY take.wav",
    "{prog} runs/STUDY takes/ 'more/**/*.flac' --csv events.csv --plot page.html",
    "{prog} runs/STUDY takes/ --threshold 4 --at-least 3",
    "{prog} runs/STUDY takes/ --false-alarms-per-hour 0.5",
)


def _finite(word: str) -> float:
    with suppress(ValueError):
        if math.isfinite(value := float(word)):
            return value
    raise argparse.ArgumentTypeError(f"must be a finite number, but got {word!r}")


def _above_zero(word: str) -> float:
    if (value := _finite(word)) > 0:
        return value
    raise argparse.ArgumentTypeError(f"must be above 0, but got {word!r}")


def _count(word: str) -> int:
    with suppress(ValueError):
        if (value := int(word)) >= 1:
            return value
    raise argparse.ArgumentTypeError(f"must be a whole number from 1 on, but got {word!r}")


def parse(arguments: list[str], prog: str) -> argparse.Namespace:
    parser = Parser(
        prog=prog,
        description="Judges recordings of a machine with the detector that a study has found.",
        examples=[line.format(prog=prog) for line in EXAMPLES],
    )
    parser.add_argument("detector", type=Path, help="a study's folder, its winner's folder, or a detector's file")
    parser.add_argument(
        "recordings", nargs="+", metavar="RECORDING", help="a file, at least a clip long, a folder, or a quoted pattern"
    )
    parser.add_argument("--machine", metavar="NAME", help="the recorded machine, where the detector knows several")
    threshold = parser.add_mutually_exclusive_group()
    threshold.add_argument(
        "--threshold",
        type=_finite,
        metavar="SIGMAS",
        help="from which score a clip is anomalous; default: as it was trained",
    )
    threshold.add_argument(
        "--false-alarms-per-hour",
        type=_above_zero,
        metavar="X",
        help="sets the threshold so that healthy sound has at most X anomalous clips an hour",
    )
    parser.add_argument(
        "--at-least",
        type=_count,
        metavar="K",
        help="how many clips make a recording anomalous (default: more than half, or 1 where faults come and go)",
    )
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write every event there")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="write a page (HTML) with spectrograms and scores")
    return parser.parse_intermixed_args(arguments)
