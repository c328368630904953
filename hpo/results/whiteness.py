"""How white the innovations of healthy test clips are: whether a trial's network has learned the machine.

They are scored again for the trials that are shown, from their detectors: so every study has them, whatever its score,
and trials that are not shown cost nothing. They are computed after the choice and change nothing about it.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from core.data.clips import ClipSet
from core.decision.checkpoint import DETECTOR_FILE, Detector, load_detector
from core.model.clips_to_score import ClipsToScore
from core.model.scoring import clip_innovations
from core.model.whiteness import MOST_UNLEARNED_BITS, Whiteness, whiteness_of
from core.thread_pool import ThreadPool
from hpo.results.trial_files import TrialFiles


@dataclass(frozen=True, kw_only=True)
class WhitenessOfTrials:
    """Measures the innovations of healthy test clips, once a trial."""

    files: TrialFiles
    _measured: dict[Path, Whiteness] = field(default_factory=dict)

    def of(self, directory: Path) -> Whiteness:
        """Of the trial in that folder, whose detector must be there."""
        if directory not in self._measured:
            detector = load_detector(directory / DETECTOR_FILE, self.files.device)
            clips = self.files.datasets.at(detector.front_end.config.read_rate_hz).test
            self._measured[directory] = healthy_whiteness(detector, clips, self.files.pool)
        return self._measured[directory]


def healthy_whiteness(detector: Detector, clips: ClipSet, pool: ThreadPool) -> Whiteness:
    """Of the innovations of those clips that are healthy."""
    rows = np.flatnonzero(~clips.is_anomalous)
    rate_hz = detector.front_end.config.sample_rate_hz
    first_samples = [round(clips.starts_s[row] * rate_hz) for row in rows]
    healthy = ClipsToScore.encoded(detector.front_end, clips.waveforms[rows], first_samples)
    z = clip_innovations(detector.model, healthy, context_samples=detector.context_samples, pool=pool)
    return whiteness_of(z, clips.waveforms.shape[1])


def whiteness_facts(whiteness: Whiteness) -> dict[str, Any]:
    """`whiteness` of result.json."""
    unlearned = whiteness.unlearned_bits
    return {
        "unlearned_bits": float(unlearned.mean()),
        "unlearned_bits_of_microphones": unlearned.tolist(),
        "most_unlearned_bits": MOST_UNLEARNED_BITS,
        "means": whiteness.means.tolist(),
        "variances": whiteness.variances.tolist(),
        "warning": whiteness_warning(whiteness),
    }


def whiteness_warning(whiteness: Whiteness) -> str | None:
    """A sentence where the network has not learned the machine; None where it has, and where there is no clip."""
    unlearned = float(whiteness.unlearned_bits.mean())
    if not unlearned > MOST_UNLEARNED_BITS:
        return None
    return (
        f"The network has not learned this machine: its innovations of healthy test clips tell {unlearned:.2f} bits a "
        f"sample beyond white noise (limit {MOST_UNLEARNED_BITS:g}). Train it longer, or search larger networks."
    )
