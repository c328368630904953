"""Lists what a source of recordings contains, before any training: python -m core.survey [SOURCE]

Prints totals, machines and conditions, the split that a study makes, what was skipped and why, and the fingerprint
that trials record. If a study would refuse the data, prints the study's error. Decodes nothing, except files that need
ffmpeg. With `--listen` it decodes the healthy recordings, and ranks them by how strange each is to the others.
Exit codes: 0 surveyed, even if a study would refuse the data; 2 a user's mistake, or a source that cannot be read (one
line names it); 130 interrupted. `--json` writes, without rounding:

    source, name, description, fingerprint, is_streamed
    options              the study file's options of the source
    totals               num_recordings, hours
    labels               label -> num_recordings, hours
    formats              [num_channels, sample_rate_hz, num_recordings, hours]
    conditions           [machine, label, condition, num_recordings, hours]
    events               num_recordings (that have any), num_events, seconds
    split                settings (those of [split]), parts: [part, machine, label, num_recordings, hours]
    refusal              the error with which a study would refuse the data, or null
    skipped              [name, reason]
    listening            [recording_id, machine, sigmas, reason], the strangest first; only with --listen

[...] stands for a list of objects with these keys. Hours count each recording once, not each channel.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.command_line import SOURCES, Parser, environment, run_command
from core.errors import UserError
from core.output_file import check_output, write_output
from core.project import STORE, find_project
from core.study_files import OF_RECORDINGS, OF_SIMULATED, default_study, find_study_file

with environment():
    from core.data.recordings import Corpus, StreamedCorpus
    from core.data.splits import SplitConfig
    from core.data.store import Store
    from core.surveying.counts import Amount, Counts, Progress, count
    from core.surveying.study_tables import StudyTables, read_study_tables
    from core.surveying.text import listening_lines, survey_lines

if TYPE_CHECKING:
    from core.surveying.listening import HealthyRecording

EXAMPLES = (
    "machine-listening survey recordings/                    # what is there, and how it would be split",
    "machine-listening survey recordings/ --study cars_10s   # split as this study file says",
    "machine-listening survey recordings/ --listen           # which healthy recordings are strange to the others",
    "machine-listening survey recordings/ --set data.channels=mix    # one microphone, the mean of all",
    "machine-listening survey simulated --json survey.json",
)


def survey(options: argparse.Namespace) -> int:
    """Prints a survey, and with `--json` writes it to a file."""
    from core.sources import open_source  # here, because --help should not wait for pandas

    if options.json:
        check_output(options.json, option="--json")
    tables = _tables(options)
    source, source_options = str(tables.data["source"]), {k: v for k, v in tables.data.items() if k != "source"}
    store = None if options.no_store else Store(options.store)
    with _progress_line() as progress:
        corpus = open_source(source, options=source_options, skip_bad_files=options.skip_bad_files, store=store)
        tables = tables.settled(corpus)
        config = tables.data_config(skip_bad_files=options.skip_bad_files)
        counts = count(corpus, config, highest_rate_hz=tables.highest_rate_hz, progress=progress)
    about = {"source": source, "description": corpus.description, "fingerprint": corpus.fingerprint}
    print("\n".join(survey_lines(counts, tables.split, **about)), flush=True)
    listening = _listen(corpus, tables, options, store) if options.listen else []
    if options.json:
        is_streamed = isinstance(corpus, StreamedCorpus)
        more = {"name": corpus.name, "options": source_options, "is_streamed": is_streamed}
        heard = {"listening": [asdict(each) for each in listening]} if options.listen else {}
        content = {**about, **more, **_figures(counts, tables.split), **heard}
        text = json.dumps(content, indent=2, sort_keys=True, allow_nan=False) + "\n"
        write_output(options.json, text, option="--json")
    return 0


def _listen(
    corpus: Corpus | StreamedCorpus, tables: StudyTables, options: argparse.Namespace, store: Store | None
) -> list["HealthyRecording"]:
    """Prints the strangest healthy recordings, and returns all of them."""
    from core.surveying.listening import strangest_first  # here, because it imports PyTorch

    if isinstance(corpus, StreamedCorpus):
        raise UserError(
            "--listen must come with a source that can be listed, but the recordings are streamed. Take a folder, or "
            "the ToyADMOS tree."
        )
    found = strangest_first(
        corpus,
        sample_rate_hz=tables.front_end.read_rate_hz,
        clip_seconds=tables.clips.clip_seconds,
        skip_bad_files=options.skip_bad_files,
        store=store,
    )
    print("\n".join(["", *listening_lines(found)]), flush=True)
    return found


def _tables(options: argparse.Namespace) -> StudyTables:
    """The study file's, with the source and the fold of the command line."""
    from core.sources import choose_source

    if options.fold is not None and not 1 <= options.fold <= (options.folds or 0):
        of = f"{options.fold} of {options.folds}" if options.folds else f"{options.fold} without --folds"
        raise UserError(f"--fold must be 1 to the number of --folds, but got {of}.")
    tables = read_study_tables(find_study_file(options.study or default_study(options.source)), options.set)
    split = tables.split
    if options.folds:
        split = replace(split, folds=options.folds, fold=(options.fold or 1) - 1)
    return replace(tables, data=choose_source(tables.data, options.source, options.root), split=split)


def _figures(counts: Counts, split: SplitConfig) -> dict[str, Any]:
    return {
        "totals": asdict(counts.total),
        "labels": {str(label): asdict(amount) for (label,), amount in counts.by("label").items()},
        "formats": _rows(counts.by("num_channels", "sample_rate_hz"), "num_channels", "sample_rate_hz"),
        "conditions": _rows(counts.by("machine", "label", "condition"), "machine", "label", "condition"),
        "events": asdict(counts.events),
        "split": {
            "settings": asdict(split),
            "parts": _rows(counts.by_part("machine", "label"), "part", "machine", "label"),
        },
        "refusal": counts.refusal,
        "skipped": [asdict(each) for each in counts.skipped],
    }


def _rows(amounts: Mapping[tuple[Any, ...], Amount], *names: str) -> list[dict[str, Any]]:
    return [{**dict(zip(names, key, strict=True)), **asdict(amount)} for key, amount in amounts.items()]


@contextmanager
def _progress_line() -> Iterator[Progress]:
    """Shows the numbers of recordings and skipped entries while they are counted, if a terminal is attached."""
    if not sys.stderr.isatty():
        yield lambda *_: None
        return
    from rich.console import Console  # imported here, because it takes time and is not needed without a terminal
    from rich.progress import Progress as Bar
    from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("listing")

        def show(num_recordings: int, num_skipped: int) -> None:
            bar.update(task, description=f"{num_recordings:,} recordings, {num_skipped:,} skipped")

        yield show


def _parse(arguments: list[str], root: Path) -> argparse.Namespace:
    parser = Parser(
        prog="machine-listening survey",
        description="Lists what a source of recordings contains.",
        examples=EXAMPLES,
    )
    source = f"{SOURCES}, or the path of a folder (default: the study file's, so without --study the simulated car)"
    parser.add_argument("source", nargs="?", metavar="SOURCE", help=source)
    study = f"study file or its name (default: {OF_SIMULATED}, and with a source of recordings {OF_RECORDINGS})"
    parser.add_argument("--study", metavar="STUDY", help=study)
    changed = "change a key of the study file (data.channels=mix, split.seed=2)"
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help=changed)
    parser.add_argument("--folds", type=int, metavar="K", help="show the split of a study with K folds")
    parser.add_argument("--fold", type=int, metavar="I", help="with --folds: of this fold, from 1 (default: 1)")
    parser.add_argument(
        "--listen", action="store_true", help="rank healthy recordings by how strange each is to the others"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write everything to this file")
    parser.add_argument("--skip-bad-files", action="store_true", help="leave out recordings that cannot be used")
    parser.add_argument(
        "--store", type=Path, default=root / STORE, metavar="DIR", help="where digests of files are kept"
    )
    parser.add_argument("--no-store", action="store_true", help="read every file for its digest, and keep no digests")
    parser.set_defaults(root=root)
    return parser.parse_args(arguments)


def main(arguments: list[str], root: Path | None = None) -> int:
    """`root` is the project's folder; by default `find_project` finds it."""
    return run_command(lambda: survey(_parse(arguments, root or find_project().root)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
