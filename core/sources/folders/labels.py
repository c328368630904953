"""The words that people use for labels, in folder names and in a manifest's label column: one table for both."""

import re
from collections.abc import Mapping

from core.data.recordings import Label

LABEL_WORDS: Mapping[Label, tuple[str, ...]] = {
    "normal": ("normal", "ok", "okay", "good", "healthy", "pass", "passed", "io", "gut"),
    "anomalous": (
        *("anomalous", "anomaly", "anomalies", "abnormal"),
        *("ng", "nok", "not ok", "bad", "fail", "failed", "nio", "schlecht"),
        *("faulty", "fault", "faults", "broken", "defect", "defekt", "defective", "damaged", "unhealthy"),
    ),
}
"""Case, spaces, dots, hyphens and underscores do not count: `Not_OK` and `n.i.O.` are among them."""
EXAMPLES = "normal and anomalous, OK and NG, good and bad, healthy and broken, pass and fail, or io and nio"
"""For messages."""


def _letters(word: str) -> str:
    return re.sub(r"[\s._-]", "", word.casefold())


_LABELS: Mapping[str, Label] = {_letters(word): label for label, words in LABEL_WORDS.items() for word in words}


def label_of_word(word: str) -> Label | None:
    """The label that a word stands for; None where it stands for none."""
    return _LABELS.get(_letters(word))
