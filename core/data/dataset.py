"""The dataset that all trials of a study share: training clips, and the clips that are judged.

A clip is a stretch of fixed length, (C, T) float32 at the study's rate, and the unit of decision. A take is the unit of
splitting. Training clips stay in the store and are read when they are drawn. Judged clips are held in memory; their
number is limited, because evaluation could otherwise cost as much as training.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace

from core.data.channels import Channels
from core.data.clips import ClipSet, clips_of_all
from core.data.data_config import DataConfig, stand_ins_of, with_faults_if_needed
from core.data.decoding import read_all
from core.data.decoding_progress import JoinedProgress, Progress
from core.data.judged_clips import JUDGED, check_calibration, checked_split, choose_judged, judged_clips, takes_by_part
from core.data.noise import with_noise
from core.data.parts import PartedCorpus, with_parts
from core.data.recordings import Corpus, Recording, Skipped, Take
from core.data.speed_perturbation import takes_at_other_speeds
from core.data.stand_ins import StandIn
from core.data.store import Store
from core.data.training_clips import ClipMeasurements, ListedClips, TrainingClips


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """All data of a trial."""

    config: DataConfig
    num_channels: int
    training: TrainingClips
    judged: Callable[[], Mapping[str, ClipSet]]
    """The clip sets of JUDGED, the same objects every time. With a stream, waits until they are complete."""
    takes: Callable[[], str]
    """The number of takes of each split, in words."""
    skipped: Callable[[], tuple[Skipped, ...]]
    """What could not be used up to now."""
    num_judged_samples: int
    """Per channel, over all judged clips; with a stream, the most that the budget allows."""
    notes: tuple[str, ...] = ()
    """What is printed once: resampling, takes left out by the budget."""
    digests: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Of the judged takes of each split: their recordings' ids by digest. Empty for a stream."""
    measurements: ClipMeasurements = field(default_factory=ClipMeasurements)
    close: Callable[[], None] = lambda: None
    """Stops reading in the background."""
    stand_ins: Callable[[], tuple[StandIn, ...]] = lambda: ()
    """What stands in for recordings that are missing. With a stream, what is known up to now."""
    channels: Channels | None = None
    """Those of the original recordings that are heard, where a study chose some."""

    @property
    def sample_rate_hz(self) -> int:
        return self.config.sample_rate_hz

    @property
    def as_recorded(self) -> "Dataset":
        """The same dataset without speed perturbation."""
        if self.config.speed_perturbation is None:
            return self
        assert isinstance(self.training, ListedClips), "speed perturbation needs a listed set"
        training = ListedClips([clip for clip in self.training.clips if clip.take.speed == 1])
        return replace(self, config=replace(self.config, speed_perturbation=None), training=training)

    @property
    def calibration(self) -> ClipSet:
        return self.judged()["calibration"]

    @property
    def validation(self) -> ClipSet:
        return self.judged()["validation"]

    @property
    def test(self) -> ClipSet:
        return self.judged()["test"]


def prepare_dataset(
    corpus: Corpus, config: DataConfig, *, store: Store | None = None, progress: Progress | None = None
) -> Dataset:
    """Decodes what is not in the store, splits by take, and cuts clips.

    Raises UserError for data that cannot be used for a study. core/data/header_check.py finds most of that earlier.
    """
    parted = with_parts(corpus, config.clips)
    config = with_faults_if_needed(corpus.recordings, config)
    parts = checked_split(parted.corpus.recordings, config)  # here, so that its error comes before any decoding
    if progress is None:
        return _prepared(parted, config, store=store, progress=None)
    with closing(JoinedProgress(progress, _readings(parted.corpus, parts.train, config))) as joined:
        return _prepared(parted, config, store=store, progress=joined)


def _readings(corpus: Corpus, train: Sequence[Recording], config: DataConfig) -> list[tuple[Recording, int]]:
    """Every recording with the rates in Hz that it will be read at."""
    rate, speeds = config.sample_rate_hz, config.speed_perturbation
    others = speeds.readings(train, rate, config.heard_rate_hz) if speeds else []
    return [*((recording, rate) for recording in corpus.recordings), *others]


def _prepared(parted: PartedCorpus, config: DataConfig, *, store: Store | None, progress: Progress | None) -> Dataset:
    corpus = parted.corpus
    read = read_all(
        corpus,
        sample_rate_hz=config.sample_rate_hz,
        min_seconds=config.clips.clip_seconds,
        skip_bad_files=config.skip_bad_files,
        store=store,
        progress=progress,
    )
    by_split = takes_by_part([with_noise(take, config.noise, config.sample_rate_hz) for take in read.takes], config)
    chosen = choose_judged(by_split, config)
    judged = {name: judged_clips(chosen[name], name, config) for name in JUDGED}
    check_calibration(judged["calibration"].machines)
    perturbed, speed_notes = _perturbed(by_split["train"], corpus, config, store=store, progress=progress)
    training = clips_of_all([*by_split["train"], *perturbed], config.clip_samples, most=None)
    return Dataset(
        config=config,
        num_channels=read.takes[0].audio.num_channels,
        training=ListedClips(training),
        judged=lambda: judged,
        takes=lambda: _describe(by_split),
        skipped=lambda: corpus.skipped + read.skipped,
        num_judged_samples=sum(len(clips) for clips in judged.values()) * config.clip_samples,
        digests={
            name: {take.recording.digest: take.recording.recording_id for take in chosen[name]} for name in JUDGED
        },
        notes=(*parted.notes, *read.notes, *config.notes, *speed_notes, *_left_out(by_split, chosen)),
        stand_ins=lambda: stand_ins_of(config, has_parts=bool(parted.notes)),
        channels=corpus.channels,
    )


def _perturbed(
    takes: Sequence[Take], corpus: Corpus, config: DataConfig, *, store: Store | None, progress: Progress | None
) -> tuple[list[Take], tuple[str, ...]]:
    """Training takes at every other speed, and a note about them."""
    speeds, rate = config.speed_perturbation, config.sample_rate_hz
    if speeds is None:
        return [], ()
    heard_hz = config.heard_rate_hz
    others = takes_at_other_speeds(takes, corpus, speeds, rate, heard_rate_hz=heard_hz, store=store, progress=progress)
    noisy = [with_noise(take, config.noise, speeds.rate_hz(take.speed, rate)) for take in others]
    return noisy, (speeds.describe(takes, heard_hz),)


def _describe(by_split: Mapping[str, Sequence[Take]]) -> str:
    counts = ", ".join(f"{len(takes)} {name}" for name, takes in by_split.items())
    machines = sorted({take.recording.machine for takes in by_split.values() for take in takes})
    return f"{counts}; machines {', '.join(machines)}"


def _left_out(by_split: Mapping[str, Sequence[Take]], chosen: Mapping[str, Sequence[Take]]) -> tuple[str, ...]:
    return tuple(
        f"{name}: {len(chosen[name])} of {len(by_split[name])} takes are judged, as the budget allows"
        for name in JUDGED
        if len(chosen[name]) < len(by_split[name])
    )
