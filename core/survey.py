"""What a source of recordings holds, before a minute of training: python -m core.survey SOURCE

Prints totals, machines and conditions, the split that a study would make, what was skipped and why, and the fingerprint
that trials carry. Decodes nothing. Exit codes: 0 surveyed, even where no split can be made; 2 a user's mistake or a
source that cannot be read (one line says which); 130 interrupted. `--json` writes, with nothing rounded:

    source, name, description, fingerprint, is_streamed
    options              the study file's, as the source got them
    totals               num_recordings, hours
    labels               label -> num_recordings, hours
    formats              [num_channels, sample_rate_hz, num_recordings, hours]
    conditions           [machine, label, condition, num_recordings, hours]
    events               num_recordings (that have any), num_events, seconds
    split                settings (those of [split]), parts: [part, machine, label, num_recordings, hours],
                         cannot_be_made: why not, or null
    skipped              [name, reason]

Where it says [...], a list of objects with these keys. Hours are of recordings, however many channels they have.
"""

import argparse
import json
import sys
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, ClassVar

from core.command_line import SOURCES, Parser, environment, run_command
from core.errors import UserError
from core.project import STORE, find_project
from core.study_files import find_study_file

with environment():
    from core.data.recordings import StreamedCorpus
    from core.data.splits import SplitConfig
    from core.data.store import Store
    from core.surveying.counts import Counts, Progress, count
    from core.surveying.text import survey_lines

EXAMPLES = (
    "machine-listening survey folder:recordings/                    # what is there, and how it would be split",
    "machine-listening survey folder:recordings/ --study cars_10s   # split as this study file says",
    "machine-listening survey simulated --json survey.json",
)


@dataclass(frozen=True, kw_only=True)
class StudyTables:
    """What of a study file concerns its data; the defaults are a study file's."""

    __pydantic_config__: ClassVar[dict[str, object]] = {"extra": "forbid", "strict": True, "allow_inf_nan": False}

    data: dict[str, Any] = field(default_factory=lambda: {"source": "simulated"})
    split: SplitConfig = field(default_factory=SplitConfig)


def read_study_tables(path: Path) -> StudyTables:
    """[data] and [split]; the rest of the file is not looked at. UserError names the file, the key and the rule."""
    from pydantic import TypeAdapter, ValidationError  # here, because a survey without a study file needs neither

    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UserError(f"The study file must be a TOML file, but {path} cannot be read: {error}.") from error
    tables = {name: table[name] for name in ("data", "split") if name in table}
    try:
        # Through JSON, because strict types take a table for a dataclass only there.
        return TypeAdapter(StudyTables).validate_json(json.dumps(tables, default=str))
    except ValidationError as error:
        problem = error.errors()[0]
        raise UserError(f"{path}: {_rule_broken(problem)}") from error


def _rule_broken(problem: Mapping[str, Any]) -> str:
    where = ".".join(str(part) for part in problem["loc"])
    if "error" in problem.get("ctx", {}):
        return str(problem["ctx"]["error"])
    if problem["type"] == "unexpected_keyword_argument":
        known = ", ".join(each.name for each in fields(SplitConfig))
        return f"{where} must be a known key, but is not. Known here: {known}."
    return f"{where} must {problem['msg'].removeprefix('Input should ')}, but got {problem['input']!r}."


def survey(options: argparse.Namespace) -> int:
    """Prints a survey, and writes it where `options` ask for that."""
    from core.sources import open_source  # here, because --help should not wait for pandas

    tables = _tables(options)
    source, source_options = str(tables.data["source"]), {k: v for k, v in tables.data.items() if k != "source"}
    store = None if options.no_store else Store(options.store)
    with _progress_line() as progress:
        corpus = open_source(source, options=source_options, skip_bad_files=options.skip_bad_files, store=store)
        counts = count(corpus, tables.split, progress=progress)
    about = {"source": source, "description": corpus.description, "fingerprint": corpus.fingerprint}
    print("\n".join(survey_lines(counts, tables.split, **about)), flush=True)
    if options.json:
        is_streamed = isinstance(corpus, StreamedCorpus)
        more = {"name": corpus.name, "options": source_options, "is_streamed": is_streamed}
        _write_json(options.json, {**about, **more, **_figures(counts, tables.split)})
    return 0


def _tables(options: argparse.Namespace) -> StudyTables:
    """Of the study file, or the defaults, with the source that is surveyed."""
    from core.sources import choose_source

    if options.source is None and options.study is None:
        raise UserError(f"A source or a study file must be given, but got neither. Sources are {SOURCES}.")
    tables = read_study_tables(find_study_file(options.study)) if options.study else StudyTables()
    return replace(tables, data=choose_source(tables.data, options.source, options.root))


def _figures(counts: Counts, split: SplitConfig) -> dict[str, Any]:
    return {
        "totals": asdict(counts.total),
        "labels": {str(label): asdict(amount) for (label,), amount in counts.by("label").items()},
        "formats": _rows(counts, "num_channels", "sample_rate_hz"),
        "conditions": _rows(counts, "machine", "label", "condition"),
        "events": asdict(counts.events),
        "split": {
            "settings": asdict(split),
            "parts": [row for row in _rows(counts, "part", "machine", "label") if row["part"] is not None],
            "cannot_be_made": counts.why_no_split,
        },
        "skipped": [asdict(each) for each in counts.skipped],
    }


def _rows(counts: Counts, *names: str) -> list[dict[str, Any]]:
    return [{**dict(zip(names, key, strict=True)), **asdict(amount)} for key, amount in counts.by(*names).items()]


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    try:
        path.write_text(json.dumps(content, indent=2, sort_keys=True, allow_nan=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise UserError(f"--json must be a file that can be written, but {path} cannot: {error.strerror}.") from error


@contextmanager
def _progress_line() -> Iterator[Progress]:
    """What has come by so far, while it comes, on a terminal alone."""
    if not sys.stderr.isatty():
        yield lambda *_: None
        return
    from rich.console import Console  # here, because it costs time that a pipe need not pay
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
        prog="machine-listening survey", description="What a source of recordings holds.", examples=EXAMPLES
    )
    parser.add_argument("source", nargs="?", metavar="SOURCE", help=f"{SOURCES} (default: the study file's)")
    parser.add_argument("--study", metavar="STUDY", help="study file, or its name, whose [data] and [split] are used")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything there, too")
    parser.add_argument("--skip-bad-files", action="store_true", help="go on without recordings that cannot be used")
    parser.add_argument(
        "--store", type=Path, default=root / STORE, metavar="DIR", help="where digests of files are remembered"
    )
    parser.add_argument("--no-store", action="store_true", help="read every file for its digest, and remember none")
    parser.set_defaults(root=root)
    return parser.parse_args(arguments)


def main(arguments: list[str], root: Path | None = None) -> int:
    """`root` is the project's; it is looked for where it is not given."""
    return run_command(lambda: survey(_parse(arguments, root or find_project().root)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
