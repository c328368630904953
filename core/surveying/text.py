"""A survey as text: totals, one row a machine and condition, the split, and what was skipped."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from rich.cells import cell_len

from core.command_line import printable
from core.data.recordings import Skipped
from core.data.splits import SplitConfig
from core.surveying.counts import LABELS, PARTS, Amount, Counts

if TYPE_CHECKING:  # it imports PyTorch, for which a survey should not wait
    from core.surveying.listening import HealthyRecording

MAX_SKIPPED_LINES = 20
MAX_STRANGE_LINES = 10
INDENT = "  "


def survey_lines(
    counts: Counts, split: SplitConfig, *, source: str, description: str, fingerprint: str
) -> Iterator[str]:
    """All counts, and the first MAX_SKIPPED_LINES of what was skipped."""
    yield printable(source)
    yield INDENT + printable(description)
    yield ""
    yield from _facts(counts, fingerprint)
    yield ""
    yield from _conditions(counts)
    yield ""
    yield from _split(counts, split)
    if counts.skipped:
        yield ""
        yield from _skipped(counts.skipped)


def _facts(counts: Counts, fingerprint: str) -> Iterator[str]:
    unit, per_hour = _unit(counts.total)
    by_label = counts.by("label")
    of_labels = [(label, by_label[(label,)]) for label in LABELS if (label,) in by_label]
    yield f"recordings   {counts.total.num_recordings}" + _each(f"{a.num_recordings} {n}" for n, a in of_labels)
    hours = _each(f"{amount.hours * per_hour:.2f} {label}" for label, amount in of_labels)
    yield f"{unit:<12} {counts.total.hours * per_hour:.2f}{hours}"
    yield f"channels     {_values(counts, 'num_channels')}"
    yield f"rates in Hz  {_values(counts, 'sample_rate_hz')}"
    if counts.events.num_events:
        events = counts.events
        yield f"events       {events.num_events} in {events.num_recordings} recordings, {events.seconds:.2f} s"
    short = f", of which {counts.num_short} listed and too short for a clip" if counts.num_short else ""
    yield f"skipped      {len(counts.skipped)}{short}"
    yield f"fingerprint  {fingerprint}"


def _each(parts: Iterable[str]) -> str:
    joined = ", ".join(parts)
    return f" ({joined})" if joined else ""


def _unit(total: Amount) -> tuple[str, int]:
    """The unit of time that suits the total, and how many of it are an hour."""
    if total.hours >= 1:
        return "hours", 1
    return ("minutes", 60) if total.hours >= 1 / 6 else ("seconds", 3600)


def _values(counts: Counts, name: str) -> str:
    """The values of a field, with their numbers if there is more than one value."""
    amounts = sorted(counts.by(name).items(), key=lambda item: -item[1].num_recordings)
    if len(amounts) < 2:
        return "".join(str(value) for (value,), _ in amounts) or "none"
    numbers = [(value, amount.num_recordings) for (value,), amount in amounts]
    return ", ".join(f"{value} in {count} recording{'s' * (count != 1)}" for value, count in numbers)


def _conditions(counts: Counts) -> Iterator[str]:
    unit, per_hour = _unit(counts.total)
    rows = [
        [*(printable(word) or "-" for word in key), str(amount.num_recordings), f"{amount.hours * per_hour:.2f}"]
        for key, amount in counts.by("machine", "label", "condition").items()
    ]
    yield from _table(["machine", "label", "condition", "recordings", unit], rows, num_words=3)


def _split(counts: Counts, split: SplitConfig) -> Iterator[str]:
    if counts.refusal:
        yield f"a study would refuse this data: {printable(counts.refusal)}"
    amounts = counts.by_part("machine", "label")
    rows = []
    for machine, label in counts.by("machine", "label"):
        row = [amounts.get((part, machine, label)) for part in PARTS]
        if any(row):
            rows.append([printable(machine), label, *(str(a.num_recordings if a else 0) for a in row)])
    if not rows:
        return
    if len(rows) > 2:
        rows.append(["all", "", *(str(sum(int(row[column]) for row in rows)) for column in range(2, 2 + len(PARTS)))])
    fold = f", fold {split.fold + 1} of {split.folds}" if split.folds else ""
    yield from _table([f"split (seed {split.seed}{fold})", "label", *PARTS], rows, num_words=2)
    yield from map(printable, counts.notes)
    if split.calibration == "parts":
        yield "of each training take, the first part is trained on and the last part is calibrated on"


def listening_lines(recordings: Sequence["HealthyRecording"]) -> Iterator[str]:
    """The strangest healthy recordings, at most MAX_STRANGE_LINES."""
    rows = [
        [f"{each.sigmas:.2f}", printable(each.machine), printable(each.recording_id), each.reason]
        for each in recordings[:MAX_STRANGE_LINES]
    ]
    yield from _table(["sigmas", "machine", "strangest healthy recordings", "what differs most"], rows, num_words=4)
    yield "each is compared with the machine's other healthy recordings, and none is left out of a study by this:"
    yield "listen to those that stand out, and remove or relabel them where they are not healthy"


def _skipped(skipped: Sequence[Skipped]) -> Iterator[str]:
    yield "skipped"
    for each in skipped[:MAX_SKIPPED_LINES]:
        name, reason = printable(each.name), printable(each.reason)
        yield INDENT + (reason if name in reason else f"{name}: {reason}")
    others = len(skipped) - MAX_SKIPPED_LINES
    if others > 0:
        yield f"{INDENT}and {others} more, which --json FILE lists"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], *, num_words: int) -> Iterator[str]:
    """The first `num_words` columns are aligned left, the others right."""
    widths = [max(cell_len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    for row in (head, *rows):
        cells = []
        for column, (cell, width) in enumerate(zip(row, widths, strict=True)):
            space = " " * (width - cell_len(cell))  # in a terminal some characters are two cells wide
            cells.append(cell + space if column < num_words else space + cell)
        yield "  ".join(cells).rstrip()
