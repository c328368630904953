"""How a corpus becomes a dataset: rate, clips, split, and what is added to or put in place of recordings."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from core.data.clips import ClipConfig
from core.data.faults.injection import COPIES, FaultsConfig
from core.data.noise import NoiseConfig
from core.data.recordings import Recording
from core.data.speed_perturbation import SpeedConfig
from core.data.splicing import SpliceConfig
from core.data.splits import SplitConfig
from core.data.stand_ins import StandIn
from core.errors import UserError


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """How a corpus becomes a dataset."""

    sample_rate_hz: int
    """At which recordings are read."""
    clips: ClipConfig
    split: SplitConfig
    skip_bad_files: bool = False
    noise: NoiseConfig | None = None
    """Added to every take; None adds none."""
    splice: SpliceConfig | None = None
    """Faults are spliced into normal clips of validation and test; None leaves the clips as they are."""
    faults: FaultsConfig | None = None
    """Faults are injected into copies of the clips of validation and test; None judges by anomalous takes, which must
    exist then. `with_faults_if_needed` decides it."""
    speed_perturbation: SpeedConfig | None = None
    """Further speeds at which training takes are used; None uses only their own speed."""
    network_rate_hz: int | None = None
    """What a network hears of recordings that are read at a higher rate: takes at other speeds may lack what is above.
    None: all of it."""

    def __post_init__(self) -> None:
        if self.splice:
            self.splice.check_room(self.clips.clip_seconds)
        if self.splice and self.faults:
            raise UserError(
                "[splice] must be left out where faults are injected, because it takes its faults from anomalous "
                "recordings, but is set, and there are none. Leave it out with --set splice=none."
            )

    @property
    def heard_rate_hz(self) -> int:
        return self.network_rate_hz or self.sample_rate_hz

    @property
    def clip_samples(self) -> int:
        return round(self.clips.clip_seconds * self.sample_rate_hz)

    @property
    def notes(self) -> tuple[str, ...]:
        """Changes that are made to the takes, in words."""
        return tuple(change.describe() for change in (self.faults, self.noise, self.splice) if change)

    def max_takes(self, split: str) -> int:
        """How many takes of a judged split the budget has room for, with a clip of each."""
        copies = COPIES if self.faults and split != "calibration" else 1
        return self.clips.max_clips(split) // copies


def with_faults_if_needed(recordings: Iterable[Recording], config: DataConfig) -> DataConfig:
    """The config with faults to inject where no recording is anomalous.

    Raises UserError where faults are to be injected although there are anomalous recordings.
    """
    anomalous = next((take.recording_id for take in recordings if take.label == "anomalous"), None)
    if anomalous is None:
        return replace(config, faults=config.faults or FaultsConfig())
    if config.faults:
        raise UserError(
            f"[faults] must be left out where there are anomalous recordings, such as {anomalous!r}, because "
            "those judge the trials. Remove [faults]."
        )
    return config


def stand_ins_of(config: DataConfig, *, has_parts: bool = False) -> tuple[StandIn, ...]:
    found: dict[StandIn, bool] = {"faults": config.faults is not None, "parts": has_parts}
    return tuple(name for name, is_so in found.items() if is_so)
