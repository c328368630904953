"""Judges recordings with the winner of a study.

    python -m core.detect runs/STUDY clip.wav takes/ 'more/**/*.flac' [--csv FILE] [--plot FILE]

The detector is a study's folder, a winner's folder or a detector's file. Recordings are files, folders, which are
searched recursively, and patterns (`core/detection/audio_paths.py`). Mono files that differ in `_ch1`, `_ch2` alone are
one recording of several microphones, and the first names it. For every recording one line says the decision,
its score and the threshold in sigmas; below it are the five longest events with start, end, and the microphone that
hears each best. A recording of any length is judged clip by clip (`core/detection/clips.py`) and is anomalous where at
least `--at-least` of its clips are; by default more than half, or one where the study's faults come and go. A line
above the first decision says which. A recording that cannot be judged is refused: one line on standard error names it,
and the others are judged.

Exit codes: 0 all are normal; 1 one or more are anomalous; 2 a user's mistake, or a recording was refused, whatever the
others are; 3 an internal error; 130 interrupted. `--csv` and `--plot` are written at the end, whole or not at all. The
CSV has one row an event, and one row for a recording without any:

    file               as it was given
    decision           normal, anomalous or refused; of a refused recording only the note follows
    score_sigmas, threshold_sigmas             of the recording, not rounded
    clips, anomalous_clips, at_least           how many there are, are anomalous, and must be
    note               a level that is far from the training clips', or why the recording is refused
    event_start_s, event_end_s, microphone     of the event; microphones count from 1
    reason             what makes the event strange, where the detector's score is innovations
"""

import argparse
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from core.command_line import environment, printable
from core.detection.arguments import parse
from core.errors import UserError
from core.output_file import check_output, write_output

if TYPE_CHECKING:  # PyTorch and plotly are imported where they are used: --help and a typing mistake should not wait
    from core.decision.checkpoint import Detector
    from core.detection.plot import FileView
    from core.detection.results import Results

MAX_NAMES = 20
"""Machines that a message lists."""


def detect(options: argparse.Namespace) -> int:
    """Judges all recordings, prints the decisions, writes what is asked for. Returns the exit code."""
    from core.data.stand_ins import SENTENCES
    from core.decision.checkpoint import find_detector, load_detector
    from core.detection.asked_threshold import with_asked_threshold
    from core.detection.audio_paths import find_audio
    from core.detection.microphone_files import by_recording

    _check_order(options)
    file = find_detector(options.detector)
    audio_paths = find_audio(options.recordings)
    _check_outputs(options, read=(*audio_paths.names, file))
    trained = load_detector(file)
    machine = choose_machine(trained, options.machine)
    recordings = by_recording(audio_paths.names, trained.model.config.num_channels, trained.channels)
    detector, lines = with_asked_threshold(trained, options.threshold, options.false_alarms_per_hour)
    lines = [*(SENTENCES[name] for name in trained.stand_ins), *lines]
    _say(*lines)
    results, views = _judge(recordings, detector, machine, options)
    if len(recordings) > 1 or audio_paths.num_passed_over:
        _say(results.summary(num_passed_over=audio_paths.num_passed_over))
    _write_outputs(options, results, views, [SENTENCES[name] for name in trained.stand_ins])
    return results.exit_code


def _judge(
    recordings: "Sequence[tuple[str, ...]]", detector: "Detector", machine: str, options: argparse.Namespace
) -> "tuple[Results, list[FileView]]":
    """Judges the recordings, each of one file or more, and prints the decisions."""
    from core.data.recordings import REPAIR, BadRecording
    from core.detection.clips import judge_recording, requirements_of
    from core.detection.files import open_audio
    from core.detection.microphone_files import check_microphones
    from core.detection.results import Results, lines_of
    from core.thread_pool import ThreadPool

    rule_lines = [_rule_line(detector, options.at_least)]
    results = Results()
    views: list[FileView] = []
    num_threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with ThreadPool(num_threads) as pool:
        for name, *others in recordings:
            try:
                check_microphones((name, *others), detector.channels)
                audio = open_audio(name, requirements_of(detector), other_microphones=others)
                judged = judge_recording(audio, detector, machine, pool=pool, min_anomalous_clips=options.at_least)
                if options.plot:
                    from core.detection.plot import most_striking, view_of

                    views = most_striking([*views, view_of(audio, judged)])
            except BadRecording as error:
                reason = str(error).replace(REPAIR, "Replace it, or leave it out.")  # that repair is a study's
                _say_error(reason)
                results.add_refused(name, reason)
            else:
                _say(*rule_lines, *lines_of(judged))
                rule_lines = []  # said once, above the first decision
                results.add(judged)
    return results, views


def _write_outputs(
    options: argparse.Namespace, results: "Results", views: "Sequence[FileView]", notes: Sequence[str]
) -> None:
    """The table and the page, where they are asked for."""
    if options.csv:
        write_output(options.csv, results.csv_text(), option="--csv")
    if options.plot:
        from core.detection.plot import page

        num_refused = results.decisions["refused"]
        num_judged = results.decisions.total() - num_refused
        text = page(views, num_judged=num_judged, num_refused=num_refused, notes=notes)
        write_output(options.plot, text, option="--plot")


def _check_order(options: argparse.Namespace) -> None:
    """UserError where a detector comes after what is none."""
    from core.decision.checkpoint import is_detector

    later = [] if is_detector(options.detector) else [each for each in options.recordings if is_detector(Path(each))]
    if later:
        raise UserError(
            f"The detector must come first, before the recordings, but {options.detector} comes before {later[0]}. "
            "Exchange them."
        )


def _rule_line(detector: "Detector", at_least: int | None) -> str:
    """How many clips make a recording anomalous."""
    if at_least is None and detector.faults_last:
        return "A recording is anomalous when more than half of its clips are."
    if at_least is None or at_least == 1:
        return "A recording is anomalous when one of its clips is."
    return f"A recording is anomalous when at least {at_least} of its clips are."


def choose_machine(detector: "Detector", asked: str | None) -> str:
    """The machine whose calibration is used. UserError unless the detector knows it, or knows only one."""
    known = detector.statistic.machines
    if asked is None and len(known) == 1:
        return known[0]
    if asked not in known:
        got = "none was given" if asked is None else f"got {asked!r}"
        names = ", ".join(known[:MAX_NAMES]) + (f" and {len(known) - MAX_NAMES} more" * (len(known) > MAX_NAMES))
        raise UserError(f"--machine must be one that the detector knows ({names}), but {got}.")
    return asked


def _say(*lines: str) -> None:
    try:
        for line in lines:
            print(line)
        sys.stdout.flush()  # a long recording may follow
    except OSError as error:
        # Python would try to write the rest of its buffer when it exits, and print a second error.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise UserError(f"Standard output must be writable, but got {error.strerror!r}.") from error


def _say_error(message: str) -> None:
    print(f"error: {printable(message)}", file=sys.stderr, flush=True)


def _check_outputs(options: argparse.Namespace, *, read: tuple[str | Path, ...]) -> None:
    """UserError before anything is judged, where an output cannot be written or would replace a file that is read."""
    outputs = {option: getattr(options, option) for option in ("csv", "plot") if getattr(options, option)}
    inputs = {os.path.realpath(path) for path in (*read, options.detector)}
    if len({os.path.realpath(path) for path in outputs.values()}) < len(outputs):
        raise UserError(f"--csv and --plot must be two files, but both are {options.csv}.")
    for option, path in outputs.items():
        if os.path.realpath(path) in inputs:
            raise UserError(f"--{option} must be another file than those that are read, but got {path}.")
        check_output(path, option=f"--{option}")


def main(arguments: list[str], *, prog: str = "python -m core.detect") -> int:
    """Runs the command and returns its exit code. `prog` is the name that --help shows."""
    try:
        with environment():
            return detect(parse(arguments, prog))
    except UserError as error:
        _say_error(str(error))
        return 2
    except KeyboardInterrupt:
        _say_error("interrupted; no file is written")
        return 130
    except Exception:  # without this Python would exit with 1, which means "anomalous"
        traceback.print_exc()
        return 3


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
