"""What `core.detect` says of the recordings that it judged: lines of text and the table of --csv."""

import csv
import io
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from core.command_line import counted, printable
from core.detection.decision import RecordingDecision

COLUMNS = (
    "file", "decision", "score_sigmas", "threshold_sigmas", "clips", "anomalous_clips", "at_least", "healthy", "note",
    "event_start_s", "event_end_s", "microphone", "reason",
)  # fmt: skip
MAX_EVENT_LINES = 5


@dataclass(kw_only=True)
class Results:
    """The decisions so far."""

    decisions: Counter[str] = field(default_factory=Counter)
    rows: list[dict[str, object]] = field(default_factory=list)
    """Of the CSV, by column; a column that is missing is empty."""

    @property
    def exit_code(self) -> int:
        return 2 if self.decisions["refused"] else 1 if self.decisions["anomalous"] else 0

    def add_refused(self, name: str, reason: str) -> None:
        self.decisions["refused"] += 1
        self.rows.append({"file": name, "decision": "refused", "note": reason})

    def add(self, judged: RecordingDecision) -> None:
        decision = decision_word(judged)
        self.decisions[decision] += 1
        row = {
            "file": judged.name,
            "decision": decision,
            "score_sigmas": judged.score_sigmas,
            "threshold_sigmas": judged.threshold_sigmas,
            "clips": len(judged.clip_scores),
            "anomalous_clips": judged.num_anomalous_clips,
            "at_least": judged.min_anomalous_clips,
            "healthy": judged.healthy_words,
            "note": judged.level_words,
        }
        events = [
            {
                "event_start_s": round(event.start_s, 4),
                "event_end_s": round(event.end_s, 4),
                "microphone": event.microphone,
                "reason": event.reason,
            }
            for event in judged.events
        ]
        self.rows += [row | event for event in events or [{}]]

    def summary(self, *, num_passed_over: int) -> str:
        counts = (f"{self.decisions[name]} {name}" for name in ("normal", "anomalous", "refused"))
        listed = ", ".join(count for count in counts if not count.startswith("0 "))
        passed_over = f"; {counted(num_passed_over, 'file')} without audio passed over" if num_passed_over else ""
        return f"{counted(self.decisions.total(), 'recording')}: {listed}{passed_over}"

    def csv_text(self) -> str:
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        return text.getvalue()


def decision_word(judged: RecordingDecision) -> str:
    return "anomalous" if judged.is_anomalous else "normal"


def lines_of(judged: RecordingDecision) -> Iterator[str]:
    """One line a recording; below it, indented, how strange it is beside healthy ones, and its longest events, the
    longest first."""
    clips = f"{judged.num_anomalous_clips} of {len(judged.clip_scores)} clips"
    numbers = f"{judged.score_sigmas:8.2f} sigmas, threshold {judged.threshold_sigmas:.2f}, {clips:>12}"
    warning = f"  ({judged.level_words})" if judged.level_words else ""
    yield f"{decision_word(judged):9} {numbers}  {printable(judged.name)}{warning}"
    if judged.healthy_words:
        yield f"    {judged.healthy_words}"
    longest_first = sorted(judged.events, key=lambda event: -event.seconds)
    for event in longest_first[:MAX_EVENT_LINES]:
        microphone = f", microphone {event.microphone}" if judged.num_channels > 1 else ""
        reason = f": {event.reason}" if event.reason else ""
        yield f"    {event.start_s:.2f} to {event.end_s:.2f} s{microphone}{reason}"
    num_others = len(judged.events) - MAX_EVENT_LINES
    if num_others > 0:
        yield f"    and {num_others} shorter {'ones' if num_others > 1 else 'one'}"
