"""Injected faults: in copies of healthy clips of validation and test, the same whatever the order of the takes."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from core.data.audio import Waveform
from core.data.clips import ClipConfig, ClipSet
from core.data.data_config import DataConfig
from core.data.dataset import prepare_dataset
from core.data.faults.injection import FaultsConfig
from core.data.faults.library import LIBRARY
from core.data.noise import NoiseConfig
from core.data.recordings import Corpus, Label, Recording
from core.data.splicing import SpliceConfig
from core.data.splits import SplitConfig
from core.decision.exact_figures import exact_figures
from core.errors import UserError
from core.model.frontend import FrontEndConfig
from core.model.scored_training import TrainingSetup
from core.model.training_config import TrainingConfig
from core.model.wavenet_config import WaveNetConfig

RATE_HZ = 2000
CONFIG = DataConfig(
    sample_rate_hz=RATE_HZ,
    clips=ClipConfig(clip_seconds=0.5, evaluation_seconds=24, calibration_seconds=4),
    split=SplitConfig(),
)


def recording(index: int, label: Label = "normal", seconds: float = 4.0) -> Recording:
    def read() -> Waveform:
        noise = np.random.default_rng(index).standard_normal((2, round(seconds * RATE_HZ)))
        return (0.1 * noise).astype(np.float32)

    return Recording(
        recording_id=f"{label} {index}",
        machine=f"fan {index % 2}",
        label=label,
        condition="normal" if label == "normal" else "lost blade",
        num_channels=2,
        sample_rate_hz=RATE_HZ,
        num_samples=round(seconds * RATE_HZ),
        digest=f"digest {label} {index}",
        read=read,
    )


HEALTHY = [recording(index) for index in range(12)]


def judged(recordings: list[Recording] = HEALTHY, config: DataConfig = CONFIG) -> dict[str, ClipSet]:
    corpus = Corpus(name="fans", description="fans", recordings=tuple(recordings))
    return dict(prepare_dataset(corpus, config).judged())


@pytest.mark.parametrize("split", ["validation", "test"])
def test_every_healthy_clip_is_judged_as_it_is_and_with_a_fault(split: str) -> None:
    clips = judged()[split]
    half = len(clips) // 2
    assert list(clips.is_anomalous) == [False] * half + [True] * half
    for field in (clips.recording_ids, clips.machines, clips.starts_s):
        assert field[:half] == field[half:]
    assert all(np.any(clips.waveforms[i] != clips.waveforms[half + i]) for i in range(half))
    assert set(clips.conditions[:half]) == {"normal"}
    assert len(clips) <= CONFIG.clips.max_clips(split)


def test_calibration_and_training_stay_healthy() -> None:
    corpus = Corpus(name="fans", description="fans", recordings=tuple(HEALTHY))
    dataset = prepare_dataset(corpus, CONFIG)
    assert not dataset.calibration.is_anomalous.any()
    samples = {recording.recording_id: recording.read() for recording in HEALTHY}
    clip = dataset.training.order(0).at(0)
    whole = samples[clip.take.recording.recording_id]
    assert np.allclose(clip.read(), whole[:, clip.start : clip.start + clip.num_samples], atol=1e-4)
    assert dataset.stand_ins() == ("faults",)
    assert any("no anomalous recording" in note for note in dataset.notes)


def test_every_machine_gets_the_faults_in_turn() -> None:
    clips = judged()["validation"]
    for machine in set(clips.machines):
        kinds = Counter(c for c, m, is_faulty in zip(clips.conditions, clips.machines, clips.is_anomalous, strict=True)
                        if is_faulty and m == machine)  # fmt: skip
        assert max(kinds.values()) - min([*kinds.values(), 0] if len(kinds) < len(LIBRARY) else kinds.values()) <= 1


def test_the_order_of_listing_does_not_matter_and_the_seed_does() -> None:
    first, again = judged()["test"], judged(HEALTHY[::-1])["test"]
    assert np.array_equal(first.waveforms, again.waveforms)
    assert first.conditions == again.conditions
    other = judged(config=replace(CONFIG, faults=FaultsConfig(seed=1)))["test"]
    assert not np.array_equal(first.waveforms, other.waveforms)


def test_a_take_keeps_its_fault_under_another_name() -> None:
    renamed = [replace(each, recording_id=f"{each.recording_id}.wav") for each in HEALTHY]
    config = replace(CONFIG, split=SplitConfig(folds=6))  # which go by the order of ids, so the parts stay the same
    assert np.array_equal(judged(config=config)["test"].waveforms, judged(renamed, config)["test"].waveforms)


def test_only_the_kinds_that_are_asked_for_are_injected() -> None:
    clips = judged(config=replace(CONFIG, faults=FaultsConfig(kinds=("tone", "hum"))))["validation"]
    assert set(clips.conditions) == {"normal", "injected tone", "injected hum"}


def test_a_budget_of_two_clips_a_machine_holds_one_take_of_each() -> None:
    clips = replace(CONFIG.clips, evaluation_seconds=2.0)
    assert Counter(judged(config=replace(CONFIG, clips=clips))["test"].machines) == {"fan 0": 2, "fan 1": 2}


def test_real_faults_are_judged_as_before() -> None:
    faulty = [recording(index, "anomalous") for index in range(4)]
    corpus = Corpus(name="fans", description="fans", recordings=(*HEALTHY, *faulty))
    dataset = prepare_dataset(corpus, CONFIG)
    assert dataset.stand_ins() == ()
    assert set(dataset.validation.conditions) == {"normal", "lost blade"}
    with pytest.raises(UserError, match=r"\[faults\] must be left out"):
        prepare_dataset(corpus, replace(CONFIG, faults=FaultsConfig()))


def test_nothing_is_spliced_from_takes_that_do_not_exist() -> None:
    splice = SpliceConfig(min_seconds=0.1, max_seconds=0.2, margin_seconds=0.1)
    with pytest.raises(UserError, match=r"\[splice\] must be left out"):
        judged(config=replace(CONFIG, splice=splice))


def test_noise_covers_the_fault_as_it_would_cover_a_real_one() -> None:
    """The fault is injected into the noisy clip: its level is that which the noise masks."""
    clips = judged(config=replace(CONFIG, noise=NoiseConfig(snr_db=0.0)))["validation"]
    half = len(clips) // 2
    levels = clips.waveforms.std(axis=2)
    assert np.allclose(levels[:half], levels[half:], rtol=1e-3)


def test_faulty_copies_do_not_count_as_recordings() -> None:
    clips = judged()["test"]
    scores = np.where(clips.is_anomalous, 1.0, 0.0)
    figures = exact_figures(scores, clips.is_anomalous, clips.recording_ids, 0.5, faults_last=False)
    num_takes = len(set(clips.recording_ids))
    assert figures.anomalous.num_recordings == figures.normal.num_recordings == num_takes
    alone = exact_figures(scores, clips.is_anomalous, [f"{i}" for i in range(len(clips))], 0.5, faults_last=False)
    assert figures.auc_interval[0] < alone.auc_interval[0]


def test_the_key_of_a_training_changes_with_the_faults_and_not_without_them() -> None:
    setup = TrainingSetup(
        front_end=FrontEndConfig(),
        network=WaveNetConfig(num_channels=2),
        training=TrainingConfig(),
        frame_samples=100,
        context_samples=9,
    )
    plain = setup.key(CONFIG, seed=1)
    keys = {setup.key(replace(CONFIG, faults=FaultsConfig(seed=seed)), seed=1) for seed in (0, 1)}
    assert len(keys | {plain}) == 3


@pytest.mark.parametrize(
    ("given", "words"),
    [({"kinds": ()}, "faults.kinds"), ({"highest_hz": 10.0}, "faults.highest_hz"), ({"seed": -1}, "faults.seed")],
)
def test_a_setting_that_cannot_be_is_refused(given: dict, words: str) -> None:
    with pytest.raises(UserError, match=words):
        FaultsConfig(**given)
