"""Spliced faults: at the labelled place, as loud as what they replace, without clicks, from the same part."""

from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from core.data.audio import Waveform, quantise
from core.data.clips import ClipConfig, ClipSet, read_clips
from core.data.data_config import DataConfig
from core.data.dataset import Dataset, prepare_dataset
from core.data.noise import NoiseConfig
from core.data.recordings import Corpus, Label, Recording, StreamedCorpus, Take
from core.data.splicing import SpliceConfig, spliced_clips, spliced_kinds
from core.data.splits import SplitConfig
from core.data.streaming.streamed_dataset import stream_dataset
from core.decision.checkpoint import DETECTOR_FILE, load_detector
from core.decision.exact_figures import exact_figures
from core.decision.postprocess import PostprocessingConfig
from core.errors import UserError
from core.experiment import ExperimentConfig, NetworkConfig, run_experiment
from core.model.training_config import TrainingConfig
from core.thread_pool import ThreadPool

RATE_HZ = 4000
CLIP_S = 5.0
CONFIG = SpliceConfig()


def tone(hz: float, gain: float, offset: float, seconds: float, rate_hz: int = RATE_HZ) -> Waveform:
    """Two microphones, the second three times as loud."""
    wave = gain * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate_hz)) / rate_hz)
    return (np.array([[1.0], [3.0]]) * wave + offset).astype(np.float32)


def hiss(seed: int, gain: float, offset: float, seconds: float, rate_hz: int = RATE_HZ) -> Waveform:
    wave = gain * np.random.default_rng(seed).standard_normal((2, round(seconds * rate_hz))) + offset
    return wave.astype(np.float32)


def recording(name: str, label: Label, read: object, *, seconds: float = 20.0, machine: str = "car") -> Recording:
    return Recording(
        recording_id=name,
        machine=machine,
        label=label,
        condition="coil" if label == "anomalous" else "normal",
        num_channels=2,
        sample_rate_hz=RATE_HZ,
        num_samples=round(seconds * RATE_HZ),
        digest=name,
        read=read,  # type: ignore[arg-type]
    )


def take(name: str, label: Label, samples: Waveform, *, rate_hz: int = RATE_HZ, machine: str = "car") -> Take:
    of = recording(name, label, None, seconds=samples.shape[1] / rate_hz, machine=machine)
    return Take(recording=of, audio=quantise(samples))


def humming(gain: float = 1.0, offset: float = 0.0) -> list[Take]:
    """A normal hum, and a faulty one that is higher and louder."""
    return [
        take("n", "normal", tone(50, 0.1, 0.3, 60)),
        take("f", "anomalous", tone(170, 0.1 * gain, offset, 30)),
    ]


def spliced(takes: list[Take], config: SpliceConfig = CONFIG, rate_hz: int = RATE_HZ, **options: int) -> ClipSet:
    return spliced_clips(takes, config, round(CLIP_S * rate_hz), rate_hz, **{"max_clips": 1000, **options})


def spans(clips: ClipSet) -> list[tuple[int, int, int]]:
    """Clip, first sample and end of each stretch."""
    assert clips.events is not None
    return [(i, round(a * RATE_HZ), round(b * RATE_HZ)) for i, events in enumerate(clips.events) for a, b in events]


@given(st.floats(0.1, 0.9), st.floats(0.1, 1.0), st.floats(0.0, 2.0), st.floats(0.1, 1.0), st.integers(0, 99))
@settings(max_examples=25)
def test_only_the_labelled_stretch_of_a_clip_is_changed(
    share: float, min_seconds: float, more: float, margin: float, seed: int
) -> None:
    config = SpliceConfig(
        share=share, min_seconds=min_seconds, max_seconds=min_seconds + more, margin_seconds=margin, seed=seed
    )
    takes = humming()
    clips, plain = spliced(takes, config), read_clips(takes[:1], round(CLIP_S * RATE_HZ), RATE_HZ)
    assert clips.recording_ids == plain.recording_ids == ("n",) * 12
    assert clips.starts_s == plain.starts_s
    assert clips.is_anomalous.sum() == min(max(1, round(12 * share)), 11)
    assert [bool(events) for events in clips.events or ()] == clips.is_anomalous.tolist()
    assert clips.conditions == tuple("coil" if a else "normal" for a in clips.is_anomalous)
    expected = plain.waveforms.copy()
    rounding = 1 / RATE_HZ
    for i, first, end in spans(clips):
        assert np.abs(clips.waveforms[i] - expected[i])[:, first:end].mean() > 0.01
        expected[i, :, first:end] = clips.waveforms[i, :, first:end]
        assert margin - rounding <= first / RATE_HZ
        assert end / RATE_HZ <= CLIP_S - margin + rounding
        assert min_seconds - rounding <= (end - first) / RATE_HZ <= min_seconds + more + rounding
    np.testing.assert_array_equal(clips.waveforms, expected)


@pytest.mark.parametrize(("gain", "offset"), [(1.0, 0.0), (30.0, 0.0), (0.03, 0.0), (1.0, 2.0)])
def test_a_stretch_is_as_loud_as_what_it_replaces_in_every_channel(gain: float, offset: float) -> None:
    clips = spliced(humming(gain, offset))
    normal = read_clips(humming()[:1], round(CLIP_S * RATE_HZ), RATE_HZ).waveforms
    for i, first, end in spans(clips):
        ours, theirs = clips.waveforms[i, :, first:end], normal[i, :, first:end]
        np.testing.assert_allclose(ours.std(axis=1), theirs.std(axis=1), rtol=0.03)
        np.testing.assert_allclose(ours.mean(axis=1), theirs.mean(axis=1), atol=0.01)


def largest_jumps(clips: ClipSet) -> tuple[float, float]:
    """From one sample to the next, at the borders of stretches and their fades, and elsewhere."""
    fade = round(CONFIG.crossfade_ms / 1000 * RATE_HZ)
    at_seams, elsewhere = [], []
    for i, first, end in spans(clips):
        jumps = np.abs(np.diff(clips.waveforms[i, 0]))
        is_near = np.zeros(len(jumps), np.bool_)
        for edge in (first, first + fade, end - fade, end):
            is_near[edge - fade - 2 : edge + fade + 2] = True
        at_seams.append(jumps[is_near].max())
        elsewhere.append(jumps[~is_near].max())
    return float(max(at_seams)), float(max(elsewhere))


@pytest.mark.parametrize(("gain", "offset"), [(1.0, 0.0), (30.0, 0.0), (1.0, 2.0)])
def test_nothing_clicks_where_a_stretch_begins_and_ends(gain: float, offset: float) -> None:
    at_seams, elsewhere = largest_jumps(spliced(humming(gain, offset)))
    assert at_seams < 1.15 * elsewhere
    cut, elsewhere = largest_jumps(spliced(humming(gain, offset), replace(CONFIG, crossfade_ms=0)))
    assert cut > 2 * elsewhere, "without a fade it does"


def test_the_fades_keep_the_power() -> None:
    takes = [take("n", "normal", hiss(0, 0.1, 1.0, 300)), take("f", "anomalous", hiss(1, 0.1, 0.0, 60))]
    config = SpliceConfig(crossfade_ms=200, share=0.9)
    clips = spliced(takes, config)
    fade = round(0.2 * RATE_HZ)
    fades = [clips.waveforms[i, :, first : first + fade] for i, first, _ in spans(clips)]
    fades += [clips.waveforms[i, :, end - fade : end] for i, _, end in spans(clips)]
    middle = np.concatenate([each[:, fade // 3 : -fade // 3] for each in fades], axis=1)  # a straight fade: 0.071
    np.testing.assert_allclose(middle.std(axis=1), 0.1, rtol=0.02)
    np.testing.assert_allclose(middle.mean(axis=1), 1.0, atol=0.02)


def test_the_seed_says_all_and_the_order_of_takes_nothing() -> None:
    takes = [
        *(take(f"n{i}", "normal", hiss(i, 0.1, 0, 15)) for i in range(3)),
        *(take(f"f{i}", "anomalous", hiss(9 + i, 0.1, 0, 15)) for i in range(3)),
    ]
    clips, again, turned = spliced(takes), spliced(takes), spliced([*takes[:3], *takes[:2:-1]])
    np.testing.assert_array_equal(again.waveforms, clips.waveforms)
    np.testing.assert_array_equal(turned.waveforms, clips.waveforms)
    assert again.events == turned.events == clips.events
    assert spliced(takes, replace(CONFIG, seed=1)).events != clips.events
    lengths = [end - first for _, first, end in spans(clips)]
    assert len(set(lengths)) == len(lengths)


def test_at_another_rate_the_same_clips_have_the_same_stretches() -> None:
    clips = [
        spliced(
            [
                take("n", "normal", tone(50, 0.1, 0.0, 60, rate), rate_hz=rate),
                take("f", "anomalous", tone(170, 0.1, 0.0, 30, rate), rate_hz=rate),
            ],
            rate_hz=rate,
        )
        for rate in (RATE_HZ, 8000)
    ]
    np.testing.assert_array_equal(clips[0].is_anomalous, clips[1].is_anomalous)
    ends = [np.array([event for events in each.events or () for event in events]) for each in clips]
    np.testing.assert_allclose(ends[0], ends[1], atol=2 / RATE_HZ)
    np.testing.assert_allclose(clips[0].waveforms, clips[1].waveforms[..., ::2], atol=0.1)  # a sample of rounding


def test_a_stretch_may_reach_up_to_the_end_of_its_take() -> None:
    takes = [take("n", "normal", hiss(0, 0.1, 0, 60)), take("f", "anomalous", hiss(1, 0.1, 0, 3.0))]
    for seed in range(20):
        config = SpliceConfig(min_seconds=3.0, max_seconds=3.0, seed=seed)
        assert {end - first for _, first, end in spans(spliced(takes, config))} == {3 * RATE_HZ}


def corpus(*, machines: tuple[str, ...] = ("a", "b"), faulty: tuple[str, ...] = ("a", "b")) -> Corpus:
    """Normal takes are noise; every faulty take has a different tone."""
    normal = [
        recording(f"{name}/normal/{i}", "normal", partial(hiss, 10 * ord(name) + i, 0.1, 0, 20), machine=name)
        for name in machines
        for i in range(8)
    ]
    anomalous = [
        recording(f"{name}/faulty/{i}", "anomalous", partial(tone, tone_of(name, i), 0.1, 0, 20), machine=name)
        for name in faulty
        for i in range(4)
    ]
    return Corpus(name="made", description="", recordings=(*normal, *anomalous))


def tone_of(machine: str, index: int) -> int:
    return 200 + 50 * index + 400 * (machine == "b")


def prepare(
    source: Corpus,
    *,
    noise: NoiseConfig | None = None,
    splice: SpliceConfig | None = CONFIG,
    evaluation_seconds: float = 120,
) -> Dataset:
    clips = ClipConfig(clip_seconds=CLIP_S, evaluation_seconds=evaluation_seconds, calibration_seconds=20)
    return prepare_dataset(
        source, DataConfig(sample_rate_hz=RATE_HZ, clips=clips, split=SplitConfig(), noise=noise, splice=splice)
    )


def test_a_stretch_is_of_a_faulty_take_of_the_same_machine_and_the_same_part() -> None:
    dataset, plain = prepare(corpus()), prepare(corpus(), splice=None)
    used: dict[str, set[str]] = {}
    for name in ("validation", "test"):
        clips: ClipSet = getattr(dataset, name)
        assert all("/normal/" in recording_id for recording_id in clips.recording_ids)
        tones = set()
        for i, first, end in spans(clips):
            spectrum = np.abs(np.fft.rfft(clips.waveforms[i, 0, first:end]))
            heard = round(spectrum.argmax() * RATE_HZ / (end - first) / 50) * 50
            machine, index = next((m, k) for m in "ab" for k in range(4) if tone_of(m, k) == heard)
            assert clips.machines[i] == machine
            tones.add(f"{machine}/faulty/{index}")
        used[name] = tones
        assert tones <= set(getattr(plain, name).recording_ids)
        assert {t[0] for t in tones} == {"a", "b"}
        counts = Counter(zip(clips.machines, clips.is_anomalous.tolist(), strict=True))
        assert len(set(counts.values())) == 1, "half of each machine's clips"
    assert not used["validation"] & used["test"]
    np.testing.assert_array_equal(dataset.calibration.waveforms, plain.calibration.waveforms)
    ours, theirs = (each.training.order(0).all_of(1000) or () for each in (dataset, plain))
    assert [clip.take.recording.recording_id for clip in ours] == [clip.take.recording.recording_id for clip in theirs]


def test_a_machine_without_a_faulty_take_stays_normal_and_a_part_without_any_is_refused() -> None:
    clips = prepare(corpus(faulty=("a",))).validation
    assert {m for m, a in zip(clips.machines, clips.is_anomalous, strict=True) if a} == {"a"}
    assert "b" in clips.machines
    with pytest.raises(UserError, match=r"^Takes to splice from must be faulty, but a part of the split has no "):
        spliced(humming()[:1])


def test_a_clip_alone_of_its_machine_stays_normal() -> None:
    takes = humming()
    assert not spliced(takes, max_clips=1).is_anomalous.any()
    assert spliced(takes, max_clips=2).is_anomalous.sum() == 1


@pytest.mark.parametrize("max_clips", [1, 2, 3, 8, 1000])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_how_many_clips_are_spliced_is_known_without_reading(max_clips: int, share: float) -> None:
    takes, config = humming(), SpliceConfig(share=share)
    other = [take("m", "normal", tone(50, 0.1, 0.0, 20), machine="without faults")]
    for found in (takes, [*takes, *other]):
        if max_clips >= len(found) - 1:
            expected = sorted(spliced(found, config, max_clips=max_clips).is_anomalous.tolist())
            assert sorted(spliced_kinds(found, config, round(CLIP_S * RATE_HZ), max_clips=max_clips)) == expected


def test_takes_with_labelled_events_are_refused() -> None:
    normal, faulty = humming()
    labelled = replace(faulty, recording=replace(faulty.recording, events=((1.0, 2.0),)))
    with pytest.raises(UserError, match=r"must be faulty from end to end, but 'f' has labelled events\. [^\n]+\.$"):
        spliced([normal, labelled])


def test_noise_is_on_the_takes_and_goes_along() -> None:
    noise = NoiseConfig(snr_db=6)
    noisy, clean = prepare(corpus(), noise=noise), prepare(corpus())
    assert noisy.notes == (noise.describe(), CONFIG.describe())
    assert noisy.validation.events == clean.validation.events
    added = noisy.validation.waveforms - clean.validation.waveforms
    ratios = 20 * np.log10(added.std(axis=2) / clean.validation.waveforms.std(axis=2))
    is_normal = ~clean.validation.is_anomalous
    np.testing.assert_allclose(ratios[is_normal], -6, atol=0.7)
    for i, first, end in spans(clean.validation):  # the fault comes with its take's noise, and both are made as loud
        ours, theirs = (each.validation.waveforms[i, :, first:end] for each in (noisy, clean))
        assert np.all(np.abs([np.corrcoef(a, b)[0, 1] for a, b in zip(ours, theirs, strict=True)]) < 0.95)


def test_an_experiment_says_how_well_the_stretches_are_found(tmp_path: Path) -> None:
    config = ExperimentConfig(
        network=NetworkConfig(dilation_depth=4, residual_channels=4, receptive_field_ms=8, skip_channels=4),
        training=TrainingConfig(epochs=1, seconds_per_epoch=8, learning_rate=1e-2),
        postprocessing=PostprocessingConfig(window_ms=100, threshold_sigmas=6, two_sided=True),
    )
    dataset = prepare(corpus(), evaluation_seconds=80)
    with ThreadPool(1) as pool:
        cpu = torch.device("cpu")
        results = list(run_experiment(config, dataset, tmp_path, seed=1, context_samples=32, device=cpu, pool=pool))
    figures = results[-1].metrics
    assert figures["val_auc"] > 0.9, "a tone in place of hiss is plain"
    assert figures["val_event_f1"] > 0.5
    assert figures["val_segment_f1"] > 0.5
    assert {"test_event_f1", "test_segment_f1"} <= figures.keys()
    assert not load_detector(tmp_path / DETECTOR_FILE).faults_last, "the stretches come and go"


def test_each_take_counts_once_in_each_class() -> None:
    clips = prepare(corpus()).test
    flagged = clips.is_anomalous ^ (np.arange(len(clips)) % 7 == 0)
    figures = exact_figures(flagged.astype(np.float64), clips.is_anomalous, clips.recording_ids, 0.5, faults_last=False)
    for counts, label in ((figures.anomalous, True), (figures.normal, False)):
        takes = {take for take, is_so in zip(clips.recording_ids, clips.is_anomalous, strict=True) if is_so == label}
        assert counts.num_recordings == len(takes) < len(clips)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"share": 1.0}, r"splice\.share must be above 0 and below 1, but got 1\.0\."),
        ({"min_seconds": 0.03}, r"splice\.min_seconds must be above 0 and hold two fades \(0\.04 s\), but got 0\.03\."),
        ({"max_seconds": 0.4}, r"splice\.max_seconds must be at least splice\.min_seconds \(0\.5\), but got 0\.4\."),
        ({"crossfade_ms": -1.0}, r"splice\.crossfade_ms must be 0 or more, but got -1\.0\."),
        ({"margin_seconds": float("nan")}, r"splice\.margin_seconds must be 0 or more, but got nan\."),
        ({"seed": -1}, r"splice\.seed must be 0 or more, but got -1\."),
    ],
)
def test_wrong_options_are_named(options: dict[str, float], said: str) -> None:
    with pytest.raises(UserError, match=f"^{said}$"):
        SpliceConfig(**options)  # type: ignore[arg-type]


def test_clips_must_hold_the_longest_stretch() -> None:
    with pytest.raises(UserError, match=r"clip_seconds must hold .* \(6 s\), but got 5\. Make clips longer"):
        prepare(corpus(), splice=SpliceConfig(max_seconds=5.0))


def test_a_stream_is_refused() -> None:
    source = StreamedCorpus(
        name="made", description="", fingerprint="f", takes=lambda: iter(corpus().recordings), machines=None
    )
    clips = ClipConfig(clip_seconds=CLIP_S)
    config = DataConfig(sample_rate_hz=RATE_HZ, clips=clips, split=SplitConfig(), splice=CONFIG)
    with pytest.raises(UserError, match=r"^\[splice\] must be left out where takes are streamed, but is set\. "):
        stream_dataset(source, config)
