"""What a detector requires of a recording, and the checks of what a header says."""

from dataclasses import dataclass
from pathlib import Path

from core.data.channels import Channels, microphones_of, numbers_of
from core.data.recordings import BadRecording
from core.sources.audio_files import Header, slack_samples


@dataclass(frozen=True, kw_only=True)
class AudioRequirements:
    """What a detector requires of a recording."""

    num_channels: int
    channels: Channels | None = None
    """Those that are heard of a recording that has others, too."""
    sample_rate_hz: int
    """The recording's own rate may be higher."""
    min_samples: int
    """Per channel at that rate: one clip."""

    @property
    def microphones(self) -> tuple[int, ...]:
        """The numbers of the detector's channels, from 1."""
        return microphones_of(self.channels, self.num_channels)

    def are_within(self, num_channels: int) -> bool:
        """Whether the study chose channels that are among so many."""
        return self.channels is not None and numbers_of(self.channels, num_channels)[-1] <= num_channels

    def describe(self) -> str:
        """How many channels a recording must have, for people."""
        count = "1 channel" if self.num_channels == 1 else f"{self.num_channels} channels"
        if not isinstance(self.channels, tuple):
            return f"{count}, as the detector's recordings had"
        names = ", ".join(map(str, self.channels))
        return f"{count}, or {self.channels[-1]} or more, of which the detector hears {names}"


def check_header(name: str, header: Header, requirements: AudioRequirements) -> None:
    """Raises BadRecording for other channels, a lower rate, or less than a clip."""
    if header.num_channels != requirements.num_channels:
        raise BadRecording(
            f"Recording {name!r} must have {requirements.describe()}, but got {header.num_channels}. "
            "Give one file with the same microphones in the same order"
            f"{', or one mono file for each, named _ch1, _ch2 and so on' if requirements.num_channels > 1 else ''}."
        )
    if header.sample_rate_hz < requirements.sample_rate_hz:
        raise BadRecording(
            f"Recording {name!r} must have a rate of at least {requirements.sample_rate_hz} Hz, the detector's, "
            f"but got {header.sample_rate_hz}. Record at a higher rate, or train a detector for this one."
        )
    most_samples = header.num_samples + slack_samples(Path(name))
    check_length(name, num_resampled(most_samples, header, requirements.sample_rate_hz), requirements)


def check_length(name: str, num_samples: int, requirements: AudioRequirements) -> None:
    """Raises BadRecording for less than a clip, at the detector's rate."""
    needed_s, got_s = (count / requirements.sample_rate_hz for count in (requirements.min_samples, num_samples))
    if num_samples < requirements.min_samples:
        raise BadRecording(
            f"Recording {name!r} must last at least {needed_s:.4g} s, one clip of the detector's, "
            f"but got {got_s:.4g} s. Record for longer."
        )


def num_resampled(num_samples: int, header: Header, rate_hz: int) -> int:
    """Rounded up, as `recordings.resample` does."""
    return -(-num_samples * rate_hz // header.sample_rate_hz)
