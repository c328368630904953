"""Metrics of labelled events. Trials have them only where the recordings have labelled events."""

from collections.abc import Iterable

from core.decision.event_metrics import ONSET_TOLERANCE_S, SEGMENT_S
from hpo.search.trial_record import TrialRecord

_KINDS = {
    "event_f1": f"F1 of events (onset within {1000 * ONSET_TOLERANCE_S:.0f} ms)",
    "segment_f1": f"F1 of segments of {1000 * SEGMENT_S:.0f} ms",
}
EVENT_METRICS = {f"val_{kind}": f"validation {words}" for kind, words in _KINDS.items()} | {
    f"test_{kind}": f"test {words} (never used for choosing)" for kind, words in _KINDS.items()
}
"""Each metric of an epoch, with the title of its axis."""


def event_metrics_in(records: Iterable[TrialRecord]) -> list[str]:
    """The EVENT_METRICS that at least one epoch has, in their order."""
    present = {name for record in records for epoch in record.epochs for name in epoch}
    return [metric for metric in EVENT_METRICS if metric in present]
