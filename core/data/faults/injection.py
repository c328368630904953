"""Injects faults into clips of healthy takes, where no faulty take exists to judge detectors by.

Each healthy clip of validation and test is judged twice: as it is, and as a copy with a fault. Both have the take's id,
so whatever counts takes counts them as one. Pairs keep the noise of a comparison low: what is odd about a stretch of
sound raises the scores of both copies and leaves their order, on which AUC depends, as it is.

The clips of a machine get the faults of the library in turn, in an order by hash, and the strengths in turn. So each
part of the split has all faults, if it has that many clips. Everything depends on the seed, the takes' digests and the
clips' numbers in their takes alone, and not on the order in which takes are listed.
"""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from core.data.clips import Clip, ClipSet, clips_of_all, read_clips
from core.data.faults.library import HIGHEST_HZ, LIBRARY, STRENGTHS, apply_fault
from core.data.faults.signals import Setting
from core.data.recordings import Take
from core.errors import UserError

COPIES = 2
"""Clips that are judged of each stretch of sound: the healthy one and the faulty one."""


@dataclass(frozen=True, kw_only=True)
class FaultsConfig:
    """Faults in copies of the clips of validation and test, for data without any anomalous recording."""

    kinds: tuple[str, ...] = tuple(LIBRARY)
    """Faults of the library, by name."""
    highest_hz: float = HIGHEST_HZ
    """No fault has its pitch above it. It must lie in the band of every sample rate of the study."""
    seed: int = 0
    """Selects the faults. The split's seed does not matter, so a clip has the same pitch and phase in every fold."""

    def __post_init__(self) -> None:
        unknown = [kind for kind in self.kinds if kind not in LIBRARY]
        if unknown or not self.kinds:
            raise UserError(
                f"faults.kinds must be of {', '.join(LIBRARY)}, but got {', '.join(unknown) or 'none'}. "
                "Correct the name, or leave the key out for all of them."
            )
        if not 100 <= self.highest_hz <= 96_000:
            raise UserError(f"faults.highest_hz must be 100 to 96000, but got {self.highest_hz:g}.")
        if self.seed < 0:
            raise UserError(f"faults.seed must be 0 or more, but got {self.seed}.")

    def describe(self) -> str:
        """One line to print."""
        return (
            "no anomalous recording: trials are judged by faults that are injected into healthy takes "
            f"({len(self.kinds)} kinds, from just audible to plain)"
        )


@dataclass(frozen=True, kw_only=True)
class Injection:
    """The fault of one clip."""

    kind: str
    strength: float
    key: int
    """Seeds all that is random about it."""

    @property
    def condition(self) -> str:
        return f"injected {self.kind}"


def clips_with_faults(
    takes: Sequence[Take], config: FaultsConfig, clip_samples: int, sample_rate_hz: int, *, max_clips: int
) -> ClipSet:
    """Clips of healthy takes and after them, in the same order, a copy of each with a fault: at most `max_clips`.

    The faulty copies are anomalous from end to end, and their condition is the kind of their fault.
    """
    most = max(1, max_clips // (COPIES * len(takes)))
    healthy = read_clips(takes, clip_samples, sample_rate_hz, most=most)
    injections = draw_injections(clips_of_all(takes, clip_samples, most=most), config)
    faulty = [
        apply_fault(
            each.kind,
            waveform,
            setting=Setting(sample_rate_hz=sample_rate_hz, strength=each.strength, highest_hz=config.highest_hz),
            random=np.random.default_rng(each.key),
        )
        for each, waveform in zip(injections, healthy.waveforms, strict=True)
    ]
    return replace(
        healthy,
        waveforms=np.concatenate([healthy.waveforms, np.stack(faulty)]),
        recording_ids=COPIES * healthy.recording_ids,
        machines=COPIES * healthy.machines,
        conditions=healthy.conditions + tuple(each.condition for each in injections),
        starts_s=COPIES * healthy.starts_s,
        is_anomalous=np.repeat([False, True], len(healthy)),
        events=None,
    )


def draw_injections(clips: Sequence[Clip], config: FaultsConfig) -> list[Injection]:
    """The fault of every clip."""
    keys = _keys(clips, config.seed)
    by_machine: dict[str, list[int]] = defaultdict(list)
    for index in sorted(range(len(clips)), key=lambda index: keys[index]):
        by_machine[clips[index].take.recording.machine].append(index)
    kinds = [config.kinds[i] for i in np.random.default_rng(config.seed).permutation(len(config.kinds))]
    strengths = list(STRENGTHS.values())
    drawn = {}
    for indices in by_machine.values():
        for place, index in enumerate(indices):
            in_turn, number = place // len(kinds), place % len(kinds)
            strength = strengths[(in_turn + number) % len(strengths)]  # a kind has another in the next round
            drawn[index] = Injection(kind=kinds[number], strength=strength, key=keys[index])
    return [drawn[index] for index in range(len(clips))]


def _keys(clips: Sequence[Clip], seed: int) -> list[int]:
    """A pseudo-random number for each clip, from the seed, the take's digest and the clip's number in the take."""
    seen: dict[str, int] = defaultdict(int)
    keys = []
    for clip in clips:
        recording = clip.take.recording
        text = f"{seed}\t{recording.digest}\t{seen[recording.recording_id]}"
        keys.append(int(hashlib.sha256(text.encode()).hexdigest()[:32], 16))
        seen[recording.recording_id] += 1
    return keys
