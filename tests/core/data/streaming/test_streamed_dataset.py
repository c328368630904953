"""Streamed datasets: training starts before the end, trials do not depend on the store, and errors have reasons."""

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

import core.data.streaming.restreaming
import core.model.training_codes
from core.data.audio import Waveform
from core.data.clips import ClipConfig
from core.data.data_config import DataConfig
from core.data.dataset import Dataset
from core.data.faults.injection import FaultsConfig
from core.data.judged_clips import JUDGED
from core.data.noise import NoiseConfig
from core.data.recordings import REPAIR, BadRecording, Label, Recording, Skipped, StreamedCorpus
from core.data.splits import SplitConfig, split_of
from core.data.store import Store
from core.data.streaming.left_out import MAX_LEFT_OUT_SAID
from core.data.streaming.streamed_dataset import stream_dataset
from core.data.streaming.take_stream import takes_of
from core.errors import UserError
from core.experiment import EpochResult, ExperimentConfig, NetworkConfig, run_experiment
from core.model.frontend import FrontEndConfig
from core.model.training import NO_CONTEXT, BatchContext
from core.model.training_config import TrainingConfig
from core.thread_pool import ThreadPool
from tests.leaving import Leave

RATE_HZ = 4000
MACHINES = ("car1", "car2")
CONFIG = DataConfig(
    sample_rate_hz=RATE_HZ,
    clips=ClipConfig(clip_seconds=0.25, evaluation_seconds=2.0, calibration_seconds=1.0),
    split=SplitConfig(),
)
EXPERIMENT = ExperimentConfig(
    front_end=FrontEndConfig(sample_rate_hz=RATE_HZ),
    network=NetworkConfig(dilation_depth=3, residual_channels=4, receptive_field_ms=4, skip_channels=4),
    training=TrainingConfig(epochs=2, seconds_per_epoch=0.5, batch_windows=4, window_targets=50),
)
Gate = Callable[[str], None]


def sound(*seed: int) -> Waveform:
    return np.random.default_rng(seed).normal(0, 0.1, (2, RATE_HZ // 2)).astype(np.float32)


def take(index: int, machine: str, label: Label) -> Recording:
    name = f"{machine}/{label}/{index:03d}"
    return Recording(
        recording_id=name,
        machine=machine,
        label=label,
        condition=label,
        num_channels=2,
        sample_rate_hz=RATE_HZ,
        num_samples=RATE_HZ // 2,
        digest=name,
        split="train" if label == "normal" and index % 2 else "held_out",
        read=partial(sound, index, MACHINES.index(machine), int(label == "normal")),
    )


def rows(num_takes: int = 40, machines: tuple[str, ...] = MACHINES) -> list[Recording | Skipped]:
    labels: tuple[Label, ...] = ("normal", "anomalous", "normal")
    return [
        take(2 * index + (place == 2), machine, label)
        for index in range(num_takes)
        for place, label in enumerate(labels)
        for machine in machines
    ]


def corpus(
    arriving: list[Recording | Skipped], *, machines: tuple[str, ...] | None = MACHINES, gate: Gate = lambda _: None
) -> StreamedCorpus:
    """Each row calls `gate` before it arrives."""

    def takes() -> Iterator[Recording | Skipped]:
        for row in arriving:
            gate(row.name if isinstance(row, Skipped) else row.recording_id)
            yield row

    return StreamedCorpus(name="made", description="by hand", fingerprint="f", machines=machines, takes=takes)


def opened(source: StreamedCorpus, store: Store | None, **changes: object) -> Dataset:
    return stream_dataset(source, replace(CONFIG, **changes), store=store, say=lambda _: None)  # type: ignore[arg-type]


def trial(dataset: Dataset, folder: Path, seed: int = 3, around_batch: BatchContext = NO_CONTEXT) -> EpochResult:
    cpu = torch.device("cpu")
    with ThreadPool(1) as pool:
        results = run_experiment(
            EXPERIMENT,
            dataset,
            folder,
            seed=seed,
            context_samples=16,
            device=cpu,
            pool=pool,
            around_batch=around_batch,
        )
        return list(results)[-1]


def figures(result: EpochResult) -> list[dict[str, float]]:
    return [{k: v for k, v in row.items() if k != "audio_seconds_per_second"} for row in result.history]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture(params=[8, 256], ids=["small pool", "large pool"])
def _pool(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core.model.training_codes, "POOL_CLIPS", request.param)
    monkeypatch.setattr(core.data.streaming.restreaming, "POOL_CLIPS", request.param)


@pytest.mark.usefixtures("_pool")
def test_a_trial_is_the_same_while_the_set_arrives_from_the_store_and_without_one(store: Store, tmp_path: Path) -> None:
    arriving = trial(opened(corpus(rows()), store), tmp_path / "arriving")
    stored = trial(opened(corpus(rows()), store), tmp_path / "stored")
    streamed = trial(opened(corpus(rows()), None), tmp_path / "streamed")
    assert figures(arriving) == figures(stored) == figures(streamed)


@pytest.mark.usefixtures("_pool")
@pytest.mark.parametrize("is_stored", [True, False])
def test_an_epoch_that_is_entered_in_its_middle_has_the_same_windows(
    store: Store, tmp_path: Path, is_stored: bool
) -> None:
    whole = trial(opened(corpus(rows()), None), tmp_path / "whole")
    for num_batches in (2, 1, EXPERIMENT.training.steps_per_epoch(RATE_HZ)):
        left = opened(corpus(rows()), store if is_stored else None)
        with pytest.raises(KeyboardInterrupt):
            trial(left, tmp_path / "left", around_batch=Leave(num_batches))
    resumed = trial(opened(corpus(rows()), store if is_stored else None), tmp_path / "left")
    assert figures(resumed) == figures(whole)


def test_training_begins_before_the_set_is_read(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core.model.training_codes, "POOL_CLIPS", 8)
    may_go_on = threading.Event()
    everything = rows()
    halfway = everything[len(everything) // 2]
    assert isinstance(halfway, Recording)

    def gate(name: str) -> None:
        if name == halfway.recording_id:
            assert may_go_on.wait(30)

    dataset = opened(corpus(everything, gate=gate), store)
    # Half of the rows hold all that is judged, so the whole trial ends while the other half is still under way.
    assert trial(dataset, tmp_path / "trial").epoch == 2
    assert "as they arrive" in dataset.takes()
    may_go_on.set()
    dataset.close()


def test_evaluation_waits_for_both_labels_of_every_machine(store: Store) -> None:
    everything = rows()
    late = [
        row for row in everything if isinstance(row, Recording) and (row.machine, row.label) == ("car2", "anomalous")
    ]
    early = [row for row in everything if row not in late]
    dataset = opened(corpus([*early, *late]), store)
    for name in ("validation", "test"):
        clips = dataset.judged()[name]
        for machine in MACHINES:
            of_machine = np.array([m == machine for m in clips.machines])
            assert 0 < clips.is_anomalous[of_machine].mean() < 1
    assert set(dataset.calibration.machines) == set(MACHINES)
    assert not dataset.calibration.is_anomalous.any()


def test_no_take_is_in_two_parts_and_what_asks_for_training_is_never_judged(store: Store) -> None:
    dataset = opened(corpus(rows()), store)
    parts = {name: set(clips.recording_ids) for name, clips in dataset.judged().items()}
    order = dataset.training.order(0)
    trained = {order.at(i).take.recording.recording_id for i in range(100)}
    assert not parts["validation"] & parts["test"]
    assert not trained & (parts["validation"] | parts["test"] | parts["calibration"])
    asked_for_training = {r.recording_id for r in rows() if isinstance(r, Recording) and r.split == "train"}
    assert trained <= asked_for_training
    assert parts["calibration"] <= asked_for_training
    assert not asked_for_training & (parts["validation"] | parts["test"])


def test_where_a_take_goes_depends_on_itself_alone() -> None:
    config = SplitConfig(seed=3)
    takes = [row for row in rows() if isinstance(row, Recording)]
    expected = {row.recording_id: split_of(row, config) for row in takes}
    assert {
        row.recording_id: split_of(replace(row, digest="x", condition="y"), config) for row in takes[::-1]
    } == expected
    assert set(expected.values()) == {"train", *JUDGED}
    assert expected != {row.recording_id: split_of(row, replace(config, seed=4)) for row in takes}


def test_later_trials_read_nothing_but_the_store(store: Store) -> None:
    opened(corpus(rows()), store).training.order(0).at(10_000)  # a clip beyond the end is there once all has arrived

    def refuse() -> Waveform:
        raise AssertionError("decoded again")

    again = [replace(row, read=refuse) for row in rows() if isinstance(row, Recording)]
    dataset = opened(corpus(list(again)), store)
    assert len(dataset.validation) == 8
    assert dataset.training.order(0).at(10_000).read().shape == (2, RATE_HZ // 4)


def test_a_stream_that_broke_off_is_begun_again_and_what_was_stored_is_not_decoded_again(store: Store) -> None:
    def gate(name: str) -> None:
        if name.endswith("/070"):
            raise UserError("The network must answer, but did not.")

    broken = opened(corpus(rows(), gate=gate), store)
    with pytest.raises(UserError, match="The network must answer"):
        broken.training.order(0).at(10_000)
    num_stored = len(list(store.directory.glob("[0-9a-f]*/*")))
    decoded = []

    def counted(row: Recording) -> Recording:
        return replace(row, read=lambda: decoded.append(row.recording_id) or row.read())  # type: ignore[func-returns-value]

    whole = opened(corpus([counted(row) for row in rows() if isinstance(row, Recording)]), store)
    whole.training.order(0).at(10_000)
    assert 0 < num_stored == len(rows()) - len(decoded)


def test_few_bad_rows_are_skipped_and_named_and_many_end_it(store: Store) -> None:
    def broken() -> Waveform:
        raise BadRecording("it is broken.")

    def some_bad(every: int) -> list[Recording | Skipped]:
        return [
            replace(row, read=broken, digest=f"bad {i}") if isinstance(row, Recording) and i % every == 7 else row
            for i, row in enumerate(rows())
        ]

    dataset = opened(corpus(some_bad(60)), store)
    dataset.training.order(0).at(10_000)
    assert len(dataset.skipped()) == 4
    assert all(skipped.reason == "it is broken." for skipped in dataset.skipped())
    with pytest.raises(UserError, match=r"at most 5% bad rows, but 11 of \d+ were, the last: car\d/"):
        opened(corpus(some_bad(12)), Store(store.directory / "other")).training.order(0).at(10_000)


@pytest.mark.parametrize("with_store", [True, False])
def test_what_is_left_out_is_said_once_and_does_not_fill_the_screen(store: Store, *, with_store: bool) -> None:
    def broken(name: str) -> Waveform:
        raise BadRecording(f"Recording {name!r} must be audio, but is not. {REPAIR}")

    everything = [row for row in rows() if isinstance(row, Recording)]
    trained_on = [row.recording_id for row in everything if split_of(row, CONFIG.split) == "train"]
    bad = trained_on[10:18]
    arriving = [
        replace(row, read=partial(broken, row.recording_id), digest="bad") if row.recording_id in bad else row
        for row in everything
    ]
    said: list[str] = []
    source = corpus(list(arriving), machines=None)
    dataset = stream_dataset(source, CONFIG, store=store if with_store else None, say=said.append)
    dataset.judged()
    for _ in range(2):
        dataset.training.order(0).at(1000)
    lines = [line for line in said if not line.startswith("evaluation waits")]
    assert len(lines) == MAX_LEFT_OUT_SAID + 1
    assert lines[0] == f"left out: {bad[0]}: Recording {bad[0]!r} must be audio, but is not."
    assert [skipped.name for skipped in dataset.skipped()] == bad


@pytest.mark.parametrize("machines", [None, MACHINES])
@pytest.mark.parametrize("with_store", [True, False])
def test_a_stream_without_faults_is_judged_by_injected_ones_when_it_has_ended(
    store: Store, *, machines: tuple[str, ...] | None, with_store: bool
) -> None:
    normal = [row for row in rows() if isinstance(row, Recording) and row.label == "normal"]
    said: list[str] = []
    source = corpus(list(normal), machines=machines)
    dataset = stream_dataset(source, CONFIG, store=store if with_store else None, say=said.append)
    assert dataset.stand_ins() == ()
    validation = dataset.judged()["validation"]
    assert validation.is_anomalous.sum() == len(validation) // 2 > 0
    assert dataset.stand_ins() == ("faults",)
    assert sum("no anomalous recording" in line for line in said) == 1


def test_faults_that_are_asked_for_are_refused_where_the_stream_has_real_ones(store: Store) -> None:
    asked = replace(CONFIG, faults=FaultsConfig())
    with pytest.raises(UserError, match=r"\[faults\] must be left out"):
        stream_dataset(corpus(rows()), asked, store=store).judged()


def test_a_stream_with_faults_in_one_part_alone_is_refused(store: Store) -> None:
    kept = [
        row
        for row in rows()
        if not (isinstance(row, Recording) and row.label == "anomalous" and split_of(row, CONFIG.split) == "validation")
    ]
    with pytest.raises(UserError, match="must bring anomalous takes for validation, but brought none"):
        opened(corpus(kept, machines=None), store).judged()


def test_a_stream_without_anything_to_train_on_is_refused(store: Store) -> None:
    held_out = [row for row in rows() if isinstance(row, Recording) and row.split == "held_out"]
    for place in (store, None):
        with pytest.raises(UserError, match="must bring normal takes to train on"):
            opened(corpus(list(held_out)), place).training.order(0).all_of(8)
    with pytest.raises(UserError, match="must bring takes"):
        opened(corpus([]), store)


def test_machines_that_were_not_announced_are_judged_from_the_whole_set(store: Store) -> None:
    announced = opened(corpus(rows()), store).judged()
    found_out = opened(corpus(rows(), machines=None), store).judged()
    for name in JUDGED:
        assert set(found_out[name].machines) == set(announced[name].machines)
        assert len(found_out[name]) == len(announced[name])


def test_takes_of_another_number_of_channels_or_too_short_are_skipped(store: Store) -> None:
    first, second, third, *others = (row for row in rows() if isinstance(row, Recording))
    mono = replace(second, num_channels=1, read=lambda: sound(1)[:1])
    short = replace(third, read=lambda: sound(1)[:, : RATE_HZ // 5])
    outcomes = list(
        takes_of(corpus([first, mono, short, *others]), sample_rate_hz=RATE_HZ, min_seconds=0.25, store=store)
    )
    reasons = {outcome.name: outcome.reason for outcome in outcomes if isinstance(outcome, Skipped)}
    assert set(reasons) == {mono.recording_id, short.recording_id}
    assert "must have 2 channels as those before it, but got 1" in reasons[mono.recording_id]
    assert "must last at least 0.25 s, but got 0.2 s" in reasons[short.recording_id]


def test_a_rate_above_the_streams_is_refused(store: Store) -> None:
    with pytest.raises(UserError, match=r"sample_rate_hz must be at most .* got 8000 where 'car1/normal/000' has 4000"):
        opened(corpus(rows()), store, sample_rate_hz=8000).validation  # noqa: B018


def test_a_damaged_store_is_filled_again(store: Store) -> None:
    opened(corpus(rows()), store).training.order(0).at(10_000)
    (index,) = store.streams_directory.glob("*.json")
    assert len(json.loads(index.read_text())) == len(rows())
    audio = next(store.directory.glob("[0-9a-f]*/*.safetensors"))
    whole = audio.read_bytes()
    audio.write_bytes(whole[: len(whole) // 2])
    opened(corpus(rows()), store).training.order(0).at(10_000)
    assert audio.read_bytes() == whole


def test_two_studies_that_begin_at_once_decode_a_row_once(store: Store) -> None:
    decoded: list[str] = []

    def counted(row: Recording) -> Recording:
        return replace(row, read=lambda: decoded.append(row.recording_id) or row.read())  # type: ignore[func-returns-value]

    arriving: list[Recording | Skipped] = [counted(row) for row in rows() if isinstance(row, Recording)]
    datasets = [opened(corpus(arriving), store) for _ in range(2)]
    threads = [threading.Thread(target=dataset.training.order(0).at, args=(10_000,)) for dataset in datasets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(decoded) == sorted(row.recording_id for row in rows() if isinstance(row, Recording))


def test_closing_lets_go_of_the_stream(store: Store) -> None:
    arrived = threading.Event()
    dataset = opened(corpus(rows(400), gate=lambda _: arrived.set()), store)
    dataset.training.order(0).at(0)
    assert arrived.wait(10)
    dataset.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "stream"]
    assert not list(store.streams_directory.glob("*.json")), "an index of a stream that was not followed to its end"


def test_a_stream_s_takes_are_as_noisy_whether_they_are_stored_or_not(tmp_path: Path) -> None:
    noise = NoiseConfig(snr_db=6)
    clean = opened(corpus(rows()), Store(tmp_path))
    noisy = [opened(corpus(rows()), store, noise=noise) for store in (Store(tmp_path), None)]
    for name in JUDGED:
        stored, passing = (each.judged()[name].waveforms for each in noisy)
        np.testing.assert_array_equal(stored, passing)
        ratio = np.std(stored - clean.judged()[name].waveforms) / clean.judged()[name].waveforms.std()
        assert abs(20 * np.log10(ratio) + 6) < 0.5
    assert [each.notes for each in noisy] == [(noise.describe(),)] * 2
    ours, pure = (each.training.order(0).at(0) for each in (noisy[0], clean))
    np.testing.assert_array_equal(ours.read(), noisy[1].training.order(0).at(0).read())
    assert np.std(ours.read() - pure.read()) > 0.3 * np.std(pure.read())
    for each in (clean, *noisy):
        each.close()
