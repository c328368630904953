"""Training takes that are also heard a little faster and slower: no machine has quite the same speed twice.

A take at rate r that is read as if it had rate r' plays r' / r times as fast, and everything in it that turns with the
machine moves up by as much. Three speeds, 0.9, 1 and 1.1, are what Ko and others (Interspeech 2015) train on. What is
judged and what is calibrated on keep the speed that they have.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from core.data.audio import AudioPart
from core.data.decoding import Progress, read_all
from core.data.recordings import Corpus, Recording, Take
from core.data.store import Store
from core.errors import UserError

SPEED_RANGE = (0.5, 2.0)


@dataclass(frozen=True, kw_only=True)
class SpeedConfig:
    """What training takes are heard at, beside their own speed."""

    speeds: tuple[float, ...] = (0.9, 1.1)
    """Of their own: 1.1 is a tenth faster, and everything in the take a tenth higher."""

    def __post_init__(self) -> None:
        if not self.speeds:
            raise UserError("speed_perturbation.speeds must name a speed, but is empty. Leave the table out instead.")
        low, high = SPEED_RANGE
        for speed in self.speeds:
            if not low <= speed <= high or speed == 1:
                raise UserError(
                    f"speed_perturbation.speeds must be {low:g} to {high:g} and other than 1, which is there in any "
                    f"case, but got {speed:g}."
                )
        if len(set(self.speeds)) < len(self.speeds):
            raise UserError(f"speed_perturbation.speeds must differ from each other, but got {_listed(self.speeds)}.")

    def rate_hz(self, speed: float, sample_rate_hz: int) -> int:
        """The rate at which a take is read so that it has this speed at the other rate."""
        return round(sample_rate_hz / speed)

    def readings(self, recordings: Sequence[Recording], sample_rate_hz: int) -> list[tuple[Recording, int]]:
        """Training recordings with every rate in Hz that they are read at, beside their own speed's."""
        speeds = self.possible(recordings, sample_rate_hz)
        return [(each, self.rate_hz(speed, sample_rate_hz)) for speed in speeds for each in recordings]

    def possible(self, recordings: Iterable[Recording], sample_rate_hz: int) -> tuple[float, ...]:
        """Those for which every recording has the rate: a slower take that lacks its highest tones is like none."""
        lowest_hz = min(recording.sample_rate_hz for recording in recordings)
        return tuple(speed for speed in self.speeds if self.rate_hz(speed, sample_rate_hz) <= lowest_hz)

    def describe(self, takes: Iterable[Take], sample_rate_hz: int) -> str:
        """What comes of these takes, for people, in a line."""
        possible = self.possible((take.recording for take in takes), sample_rate_hz)
        missing = [speed for speed in self.speeds if speed not in possible]
        said = f"training takes are also heard at speed {_listed(possible)}" if possible else ""
        left_out = f"speed {_listed(missing)} needs recordings of a higher rate and is left out" if missing else ""
        return "; ".join(each for each in (said, left_out) if each)


def takes_at_other_speeds(
    takes: Sequence[Take],
    corpus: Corpus,
    config: SpeedConfig,
    sample_rate_hz: int,
    *,
    store: Store | None = None,
    progress: Progress | None = None,
) -> list[Take]:
    """The corpus's `takes`, or what there is of them, at every other possible speed."""
    found = []
    recordings = replace(corpus, recordings=tuple(take.recording for take in takes))
    for speed in config.possible(recordings.recordings, sample_rate_hz):
        rate = config.rate_hz(speed, sample_rate_hz)
        read = read_all(
            recordings, sample_rate_hz=rate, min_seconds=0, skip_bad_files=False, store=store, progress=progress
        )
        found += [_beginning(other, take, speed) for other, take in zip(read.takes, takes, strict=True)]
    return found


def _beginning(other: Take, take: Take, speed: float) -> Take:
    """The same recording as `take` at another rate, cut to what `take` holds."""
    assert not isinstance(take.audio, AudioPart) or take.audio.first == 0, "what is trained on begins with its take"
    num_samples = min(math.floor(take.audio.num_samples / speed), other.audio.num_samples)
    return replace(other, audio=AudioPart(whole=other.audio, first=0, num_samples=num_samples), speed=speed)


def _listed(speeds: Sequence[float]) -> str:
    return ", ".join(f"{speed:g}" for speed in speeds)
