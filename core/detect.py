"""The winner at work: python -m core.detect runs/STUDY/winner clip.wav more/*.flac [--csv FILE] [--plot FILE]

For every file the decision, its score and the threshold in sigmas, and the events with start, end, and the microphone
that hears each best. A file of any length is judged clip by clip (`detect_clips.py`) and is anomalous where one of its
clips is, so a longer file has more chances of a false alarm. A file that cannot be judged is named on standard error,
in one line, and the others are judged all the same.

Exit codes: 0 all normal; 1 one or more anomalous; 2 a user's mistake, or a file that could not be judged, whatever
the others are; 3 a mistake of ours; 130 interrupted. `--csv` and `--plot` are written at the end, whole or not at all.
The CSV has one row an event, and one row for a file without any:

    file               as it was given
    decision           normal, anomalous, or refused, where all that follows is empty
    score_sigmas, threshold_sigmas             of the file, not rounded
    event_start_s, event_end_s, microphone     of the event; microphones count from 1
"""

import argparse
import csv
import io
import os
import sys
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from core.command_line import Parser, environment, printable
from core.errors import UserError

if TYPE_CHECKING:  # PyTorch and plotly are imported where they are used: --help and a typing mistake should not wait
    from core.decision.checkpoint import Detector
    from core.detection.clips import FileJudgement
    from core.detection.plot import FileView

EXAMPLES = (
    "machine-listening detect runs/quickstart-simulated/winner recordings/*.wav",
    "machine-listening detect runs/quickstart-simulated/winner long.flac --csv events.csv --plot page.html",
)
COLUMNS = ("file", "decision", "score_sigmas", "threshold_sigmas", "event_start_s", "event_end_s", "microphone")
MAX_EVENT_LINES = 20


@dataclass(kw_only=True)
class Findings:
    """What has come out so far."""

    decisions: Counter[str] = field(default_factory=Counter)
    rows: list[tuple[object, ...]] = field(default_factory=list)
    """Of the CSV."""
    views: list["FileView"] = field(default_factory=list)
    """What is plotted: the files that stand out most."""

    @property
    def exit_code(self) -> int:
        return 2 if self.decisions["refused"] else 1 if self.decisions["anomalous"] else 0

    def refuse(self, name: str) -> None:
        self.decisions["refused"] += 1
        self.rows.append((name, "refused", *[None] * (len(COLUMNS) - 2)))

    def add(self, judgement: "FileJudgement") -> None:
        self.decisions[_decision(judgement)] += 1
        of_file = (judgement.name, _decision(judgement), judgement.score_sigmas, judgement.threshold_sigmas)
        of_events = [(*of_file, round(e.start_s, 4), round(e.end_s, 4), e.microphone) for e in judgement.events]
        self.rows += of_events or [(*of_file, None, None, None)]


def detect(options: argparse.Namespace) -> int:
    """Judges all files, prints what is found, writes what is asked for. Returns the exit code."""
    from core.data.recordings import REPAIR, BadRecording
    from core.decision.checkpoint import load_detector
    from core.detection.clips import judge_file, needs_of
    from core.detection.files import open_audio
    from core.thread_pool import ThreadPool

    _check_outputs(options)
    detector = load_detector(checkpoint_in(options.winner))
    machine = choose_machine(detector, options.machine)
    findings = Findings()
    num_threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with ThreadPool(num_threads) as pool:
        for name in options.files:
            try:
                audio = open_audio(name, needs_of(detector))
                judgement = judge_file(audio, detector, machine, pool=pool)
                if options.plot:
                    from core.detection.plot import most_striking, view_of

                    findings.views = most_striking([*findings.views, view_of(audio, judgement)])
            except BadRecording as error:
                _say_error(str(error).replace(REPAIR, "Replace it, or leave it out."))  # that repair is a study's
                findings.refuse(name)
            else:
                _say(*_lines(judgement))
                findings.add(judgement)
    if len(options.files) > 1:
        _say(_summary(findings.decisions))
    if options.csv:
        _write(options.csv, _csv_text(findings), option="--csv")
    if options.plot:
        from core.detection.plot import page

        refused = findings.decisions["refused"]
        text = page(findings.views, num_judged=len(options.files) - refused, num_refused=refused)
        _write(options.plot, text, option="--plot")
    return findings.exit_code


def checkpoint_in(winner: Path) -> Path:
    """The detector's file: the path itself, or the one in the folder that a study leaves."""
    from core.experiment import DETECTOR_FILE

    return winner / DETECTOR_FILE if winner.is_dir() else winner


def choose_machine(detector: "Detector", asked: str | None) -> str:
    """Whose calibration counts. UserError unless it is one that the detector knows, or there is only one."""
    known = sorted(detector.statistic.calibrations)
    if asked is None and len(known) == 1:
        return known[0]
    if asked not in known:
        got = "none was given" if asked is None else f"got {asked!r}"
        raise UserError(f"--machine must be one that the detector knows ({', '.join(known)}), but {got}.")
    return asked


def _decision(judgement: "FileJudgement") -> str:
    return "anomalous" if judgement.is_anomalous else "normal"


def _lines(judgement: "FileJudgement") -> Iterator[str]:
    """One line a file, its events indented below."""
    score, threshold = judgement.score_sigmas, judgement.threshold_sigmas
    clips = f"{judgement.num_anomalous_clips} of {len(judgement.clip_scores)} clips"
    shown = f"{score:8.2f} sigmas, threshold {threshold:.2f}, {clips:>12}"
    yield f"{_decision(judgement):9} {shown}  {printable(judgement.name)}"
    for event in judgement.events[:MAX_EVENT_LINES]:
        microphone = f", microphone {event.microphone}" if judgement.num_channels > 1 else ""
        yield f"    {event.start_s:.2f} to {event.end_s:.2f} s{microphone}"
    others = len(judgement.events) - MAX_EVENT_LINES
    if others > 0:
        yield f"    and {others} more, which --csv FILE lists"


def _summary(decisions: Counter[str]) -> str:
    counts = (f"{decisions[name]} {name}" for name in ("normal", "anomalous", "refused") if decisions[name])
    return f"{decisions.total()} files: {', '.join(counts)}"


def _csv_text(findings: Findings) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([COLUMNS, *findings.rows])
    return text.getvalue()


def _say(*lines: str) -> None:
    try:
        for line in lines:
            print(line)
        sys.stdout.flush()  # a long file may follow
    except OSError as error:
        # Python would try to flush what is left once more at its end, and say so.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise UserError(f"Standard output must take what is printed, but got {error.strerror!r}.") from error


def _say_error(message: str) -> None:
    print(f"error: {printable(message)}", file=sys.stderr, flush=True)


def _check_outputs(options: argparse.Namespace) -> None:
    """UserError before anything is judged, where a file cannot be written or would replace one that is read."""
    outputs = {option: getattr(options, option) for option in ("csv", "plot") if getattr(options, option)}
    read = {os.path.realpath(path) for path in (*options.files, options.winner, checkpoint_in(options.winner))}
    if len({os.path.realpath(path) for path in outputs.values()}) < len(outputs):
        raise UserError(f"--csv and --plot must be two files, but both are {options.csv}.")
    for option, path in outputs.items():
        if os.path.realpath(path) in read:
            raise UserError(f"--{option} must be a file of its own, but {path} is one of those that are read.")
        if path.exists() and not path.is_file():
            raise UserError(f"--{option} must be a file that can be written, but {path} is no plain file.")
        if not os.access(os.path.dirname(os.path.realpath(path)), os.W_OK):
            raise UserError(f"--{option} must be in a folder that is there and can be written, but got {path}.")


def _write(path: Path, text: str, *, option: str) -> None:
    """Under another name, then renamed: whole or not at all. A link is followed."""
    path = Path(os.path.realpath(path))
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        scratch.write_text(text, encoding="utf-8", errors="surrogateescape")
        os.replace(scratch, path)
    except OSError as error:
        with suppress(OSError):
            scratch.unlink(missing_ok=True)
        raise UserError(f"{option} must be a file that can be written, but {path} cannot: {error.strerror}.") from error


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = Parser(
        prog="machine-listening detect", description="Hear whether machines are well in recordings.", examples=EXAMPLES
    )
    parser.add_argument("winner", type=Path, help="a study's winner: its folder, or its checkpoint")
    parser.add_argument("files", nargs="+", metavar="FILE", help="wav, flac, ogg or mp3, at least a clip long")
    parser.add_argument("--machine", metavar="NAME", help="which machine is heard, where the detector knows several")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write every event there")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="write a page (HTML) with spectrograms and scores")
    return parser.parse_intermixed_args(arguments)


def main(arguments: list[str]) -> int:
    try:
        with environment():
            return detect(_parse(arguments))
    except UserError as error:
        _say_error(str(error))
        return 2
    except KeyboardInterrupt:
        return 130
    except Exception:  # or Python would exit with 1, which says "anomalous"
        traceback.print_exc()
        return 3


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
