"""Also trains on takes that are played a little faster and slower, because a machine's speed varies.

A take at rate r that is read as if it had rate r' plays r' / r times as fast, and all its frequencies are multiplied by
the same factor. Ko and others (Interspeech 2015) train on three speeds: 0.9, 1 and 1.1. Judged and calibration clips
keep their speed.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from core.data.audio import AudioPart
from core.data.decoding import read_all
from core.data.decoding_progress import Progress
from core.data.recordings import Corpus, Recording, Take
from core.data.store import Store
from core.errors import UserError

SPEED_RANGE = (0.5, 2.0)


@dataclass(frozen=True, kw_only=True)
class SpeedConfig:
    """The speeds of training takes, in addition to their own."""

    speeds: tuple[float, ...] = (0.9, 1.1)
    """Relative to the recording: at 1.1 a take is a tenth faster and a tenth higher."""
    in_streams: Literal["refuse", "leave out"] = "refuse"
    """What to do where takes are streamed, which have their own speed alone."""

    def __post_init__(self) -> None:
        if not self.speeds:
            raise UserError("speed_perturbation.speeds must have a speed, but is empty. Remove the table instead.")
        low, high = SPEED_RANGE
        for speed in self.speeds:
            if not low <= speed <= high or speed == 1:
                raise UserError(
                    f"speed_perturbation.speeds must be {low:g} to {high:g} and not 1, which is always used, "
                    f"but got {speed:g}."
                )
        if len(set(self.speeds)) < len(self.speeds):
            raise UserError(f"speed_perturbation.speeds must differ from each other, but got {_listed(self.speeds)}.")

    def identity(self) -> dict[str, Any]:
        """What two trainings with the same speeds have in common."""
        return {"speeds": list(self.speeds)}

    def rate_hz(self, speed: float, sample_rate_hz: int) -> int:
        """The rate to which a take is resampled, so that it has this speed when it is played at `sample_rate_hz`."""
        return round(sample_rate_hz / speed)

    def readings(
        self, recordings: Sequence[Recording], sample_rate_hz: int, heard_rate_hz: int
    ) -> list[tuple[Recording, int]]:
        """Training recordings with the rates in Hz, beside `sample_rate_hz`, at which they are read."""
        speeds = self.possible(recordings, heard_rate_hz)
        return [(each, self.rate_hz(speed, sample_rate_hz)) for speed in speeds for each in recordings]

    def possible(self, recordings: Iterable[Recording], heard_rate_hz: int) -> tuple[float, ...]:
        """The speeds for which every recording's rate is high enough. A slower take would lack the highest tones that
        are heard."""
        lowest_hz = min(recording.sample_rate_hz for recording in recordings)
        return tuple(speed for speed in self.speeds if self.rate_hz(speed, heard_rate_hz) <= lowest_hz)

    def describe(self, takes: Iterable[Take], heard_rate_hz: int) -> str:
        """One line to print about these takes."""
        possible = self.possible((take.recording for take in takes), heard_rate_hz)
        missing = [speed for speed in self.speeds if speed not in possible]
        used = f"training takes are also used at speed {_listed(possible)}" if possible else ""
        left_out = f"speed {_listed(missing)} needs recordings of a higher rate and is left out" if missing else ""
        return "; ".join(each for each in (used, left_out) if each)


def takes_at_other_speeds(
    takes: Sequence[Take],
    corpus: Corpus,
    config: SpeedConfig,
    sample_rate_hz: int,
    *,
    heard_rate_hz: int,
    store: Store | None = None,
    progress: Progress | None = None,
) -> list[Take]:
    """The corpus's `takes`, or their parts, at every other possible speed. Above what is heard they may be silent."""
    found = []
    recordings = replace(corpus, recordings=tuple(take.recording for take in takes))
    for speed in config.possible(recordings.recordings, heard_rate_hz):
        read = read_all(
            recordings,
            sample_rate_hz=config.rate_hz(speed, sample_rate_hz),
            min_seconds=0,
            skip_bad_files=False,
            may_upsample=True,
            store=store,
            progress=progress,
        )
        found += [_beginning(other, take, speed) for other, take in zip(read.takes, takes, strict=True)]
    return found


def _beginning(other: Take, take: Take, speed: float) -> Take:
    """`other`, the recording of `take` at another rate, cut to the length of `take`."""
    assert not isinstance(take.audio, AudioPart) or take.audio.first == 0, "training parts start with their take"
    num_samples = min(math.floor(take.audio.num_samples / speed), other.audio.num_samples)
    return replace(other, audio=AudioPart(whole=other.audio, first=0, num_samples=num_samples), speed=speed)


def _listed(speeds: Sequence[float]) -> str:
    return ", ".join(f"{speed:g}" for speed in speeds)
