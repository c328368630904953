"""The page of a trial: its plots and sentences agree with the scores and clips that it shows."""

import math
import re
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_curve

from core.model.whiteness import NUM_BINS, Whiteness, whiteness_of
from core.web_page.rendering import packed_plotly
from hpo.pages.clip_figure import FLOOR_DB, MAX_COLUMNS, ClipView, clip_figures, clip_sentence, spectrogram
from hpo.pages.trial_figures import (
    LOSSES,
    SplitScores,
    histograms_figure,
    infinite_scores_sentences,
    loss_gaps,
    losses_figure,
    roc_figure,
)
from hpo.pages.trial_page import facts_table, trial_page
from hpo.pages.trial_sections import TrialView
from hpo.pages.whiteness_section import whiteness_figure, whiteness_table
from hpo.results.whiteness import whiteness_facts, whiteness_warning

RATE_HZ = 4000
THRESHOLD = 2.5


def split_of(*, seed: int = 0, num_clips: int = 50, num_without_event: int = 0) -> SplitScores:
    random = np.random.default_rng(seed)
    is_anomalous = np.arange(num_clips) % 2 == 1
    scores = random.normal(size=num_clips) + 3 * is_anomalous
    scores[:num_without_event] = -math.inf
    return SplitScores(clip_scores=scores, is_anomalous=is_anomalous)


def clip_of(**changes: Any) -> ClipView:
    seconds = np.arange(2 * RATE_HZ) / RATE_HZ
    values: dict[str, Any] = {
        "title": "A clip", "machine": "car-1", "label": "anomalous", "condition": "ribbon",
        "waveform": np.sin(2 * np.pi * 500 * seconds).astype(np.float32), "sample_rate_hz": RATE_HZ, "frame_ms": 20.0,
        "scores": np.linspace(-1, 4, 97), "threshold_sigmas": THRESHOLD, "events": ((0.5, 0.75, 2), (1.0, 1.25, None)),
        "first_frame_s": 0.05,
    } | changes  # fmt: skip
    return ClipView(**values)


def epoch_of(epoch: int, **changes: float) -> dict[str, float]:
    return {"epoch": epoch, "lr": 0.1} | {name: 3.0 + i - 0.1 * epoch for i, name in enumerate(LOSSES)} | changes


def page_of(*, facts: dict[str, Any] | None = None, **changes: Any) -> str:
    values: dict[str, Any] = {
        "title": "trial 7", "epochs": [epoch_of(1), epoch_of(2)], "best_epoch": 2, "validation": split_of(),
        "test": split_of(seed=1), "threshold_sigmas": THRESHOLD, "clips": [clip_of(label="normal"), clip_of()],
    } | changes  # fmt: skip
    facts = facts or {"best_epoch": 2, "parameters": {"window_ms": 500.0}}
    return trial_page(TrialView(**values), facts=facts, report="../../report.html")


def test_page_holds_plotly_once_and_every_plot_and_fetches_nothing() -> None:
    page = page_of()
    assert page.count(packed_plotly()) == 1
    assert page.count("data-figure=") == 3 + 2
    rest = page.replace(packed_plotly(), "")
    assert " src=" not in rest
    assert re.findall(r'href="(.*?)"', rest) == ["../../report.html"]
    assert "default-src 'none'" in rest


def test_text_from_outside_cannot_become_markup() -> None:
    evil = "<script>alert(1)</script>"
    clip = clip_of(title=evil, machine=evil, label=evil, condition=evil)
    page = page_of(title=evil, clips=[clip], facts={evil: evil, "group": {evil: evil}})
    assert evil not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 8


def test_facts_about_the_test_split_are_marked() -> None:
    facts = {"test_f1": 0.9, "val_f1": 0.8, "test": {"auc": 0.7}}
    assert [row.cells[0].text for row in facts_table(facts).rows if row.cells[0].is_test] == ["test_f1", "test", "auc"]
    marked = re.findall(r"testmark[^>]*>test</span> (\w+)", page_of(facts=facts).split("<h2>Facts</h2>")[1])
    assert marked == ["test_f1", "test", "auc"]


def test_losses_are_drawn_by_epoch_with_the_parts_of_test_thinner() -> None:
    epochs = [epoch_of(1), epoch_of(2), epoch_of(3)]
    figure = losses_figure(epochs, best_epoch=2)
    curves = dict(zip(LOSSES, figure.data, strict=True))
    for metric, curve in curves.items():
        assert list(curve.x) == [1, 2, 3]
        assert list(curve.y) == [epoch[metric] for epoch in epochs]
    thin = max(curves["test_loss_normal"].line.width, curves["test_loss_anomalous"].line.width)
    assert thin < min(curves[metric].line.width for metric in ("train_loss", "val_loss", "test_loss"))
    assert figure.layout.shapes[0].x0 == 2


def test_a_loss_that_is_not_finite_leaves_a_gap_and_is_named() -> None:
    epochs = [epoch_of(1), epoch_of(2, val_loss=math.nan), epoch_of(3, test_loss=math.inf)]
    figure = losses_figure(epochs, best_epoch=None)
    assert figure.data[1].y[1] is None
    assert figure.data[2].y[2] is None
    assert "epoch 2, 3" in loss_gaps(epochs)
    assert "epoch 2, 3" in page_of(epochs=epochs)
    assert loss_gaps([epoch_of(1)]) is None


def test_page_of_a_trial_without_an_epoch_says_so() -> None:
    assert "No epoch has ended." in page_of(epochs=[])


def test_histograms_count_every_clip_also_infinite_scores() -> None:
    validation, test = split_of(), split_of(seed=1, num_clips=40, num_without_event=5)
    figure = histograms_figure(validation, test, THRESHOLD)
    bars = [trace for trace in figure.data if trace.type == "bar"]
    assert [(bar.name, sum(bar.y)) for bar in bars] == [
        ("normal", 25), ("anomalous", 25), ("normal", 20), ("anomalous", 20)
    ]  # fmt: skip
    lowest_finite = min(validation.clip_scores.min(), THRESHOLD)
    assert bars[2].x[-1] < lowest_finite
    assert (bars[2].y[-1], bars[3].y[-1]) == (3, 2)  # clips 0, 2, 4 are normal, 1 and 3 anomalous
    assert "−∞" in figure.layout.annotations[-1].text


def test_infinite_scores_are_explained() -> None:
    sentences = infinite_scores_sentences(split_of(), split_of(num_without_event=5))
    assert len(sentences) == 1
    assert sentences[0].startswith("Test: 3 normal and 2 anomalous clips have the score −∞")
    assert infinite_scores_sentences(split_of(), split_of()) == []


def test_page_of_scores_that_are_all_infinite() -> None:
    nothing = split_of(num_without_event=50)
    assert "25 normal and 25 anomalous clips" in page_of(validation=nothing, test=nothing)


def test_roc_agrees_with_scikit_learn_where_scores_are_finite() -> None:
    split = split_of()
    curve = roc_traces(roc_figure(split, split_of(seed=1), THRESHOLD))["validation"]
    expected = roc_curve(split.is_anomalous, split.clip_scores)[:2]
    np.testing.assert_array_equal((curve.x, curve.y), expected)


def test_roc_counts_clips_without_an_event_as_the_lowest() -> None:
    split = split_of(num_without_event=10)
    finite = np.where(np.isfinite(split.clip_scores), split.clip_scores, -1000.0)
    curve = roc_traces(roc_figure(split, split_of(), THRESHOLD))["validation"]
    np.testing.assert_array_equal((curve.x, curve.y), roc_curve(split.is_anomalous, finite)[:2])


def test_threshold_on_the_roc_flags_clips_that_reach_it() -> None:
    split = SplitScores(
        clip_scores=np.array([0.0, THRESHOLD, 1.0, THRESHOLD, 9.0]),
        is_anomalous=np.array([False, False, True, True, True]),
    )
    point = roc_traces(roc_figure(split, split_of(), THRESHOLD))["validation at the threshold"]
    assert (point.x[0], point.y[0]) == (1 / 2, 2 / 3)


def test_roc_of_one_label_alone_is_named_and_not_drawn() -> None:
    normal = SplitScores(clip_scores=np.array([1.0, 2.0]), is_anomalous=np.array([False, False]))
    assert "test: no curve" in [trace.name for trace in roc_figure(split_of(), normal, THRESHOLD).data][-1]


def roc_traces(figure: Any) -> dict[str, Any]:
    return {trace.name.split(" (")[0]: trace for trace in figure.data}


def test_a_score_that_is_nan_is_refused() -> None:
    with pytest.raises(AssertionError, match="NaN"):
        SplitScores(clip_scores=np.array([1.0, math.nan]), is_anomalous=np.array([True, False]))


@pytest.mark.parametrize("rate_hz", [4000, 16000, 44100])
def test_spectrogram_shows_a_full_scale_sine_at_its_frequency_with_0_db(rate_hz: int) -> None:
    frequency_hz = 8 * rate_hz / 256  # in the middle of a bin for each length that a spectrum may have here
    waveform = np.sin(2 * np.pi * frequency_hz * np.arange(3 * rate_hz) / rate_hz).astype(np.float32)
    image = spectrogram(waveform, rate_hz)
    loudest = image.levels_db.mean(axis=1).argmax()
    assert image.frequencies_hz[loudest] == pytest.approx(frequency_hz)
    np.testing.assert_allclose(image.levels_db[loudest], 0, atol=0.01)
    assert image.frequencies_hz[-1] == rate_hz / 2


def test_spectrogram_shows_a_click_when_it_happens() -> None:
    waveform = np.zeros(4 * RATE_HZ, dtype=np.float32)
    waveform[3 * RATE_HZ] = 1.0
    image = spectrogram(waveform, RATE_HZ)
    assert image.times_s[image.levels_db.max(axis=0).argmax()] == pytest.approx(3.0, abs=0.03)
    assert image.levels_db.min() == FLOOR_DB


@pytest.mark.parametrize("num_samples", [1, 100, RATE_HZ, 200 * RATE_HZ])
def test_spectrogram_of_any_length_stays_small_and_in_time(num_samples: int) -> None:
    image = spectrogram(np.ones(num_samples, dtype=np.float32), RATE_HZ)
    assert image.levels_db.shape == (len(image.frequencies_hz), len(image.times_s))
    assert 1 <= len(image.times_s) <= MAX_COLUMNS
    assert image.times_s[-1] <= max(num_samples / RATE_HZ, 0.064)
    assert image.times_s[-1] > 0.95 * num_samples / RATE_HZ - 0.064


def test_clip_shows_scores_and_events_on_the_spectrograms_time_axis() -> None:
    clip = clip_of()
    (figure,) = clip_figures([clip])
    score = next(trace for trace in figure.data if trace.name == "score")
    np.testing.assert_allclose(score.x, 0.05 + 0.02 * np.arange(97) + 0.01)
    np.testing.assert_array_equal(score.y, clip.scores)
    assert [(shape.x0, shape.x1) for shape in figure.layout.shapes] == [(0.5, 0.75), (1.0, 1.25)]
    assert {shape.yref for shape in figure.layout.shapes} == {"paper"}  # over both panels
    assert figure.layout.xaxis.matches == "x2"
    threshold = next(trace for trace in figure.data if trace.name == f"threshold ({THRESHOLD})")
    assert list(threshold.y) == [THRESHOLD, THRESHOLD]


def test_clips_share_one_scale_of_loudness() -> None:
    loud, quiet = clip_of(), clip_of(waveform=clip_of().waveform / 100)
    scales = {(figure.data[0].zmin, figure.data[0].zmax) for figure in clip_figures([quiet, loud])}
    assert len(scales) == 1
    assert scales.pop()[1] == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "labelled anomalous (ribbon): 2 events, 0.50 to 0.75 s (channel 2), 1.00 to 1.25 s."),
        ({"label": "normal", "condition": "normal", "events": ()}, "labelled normal: no event."),
        ({"events": ((0.0, 0.1, None),) * 20}, "and 8 more"),
        ({"scores": np.array([1.0, math.nan, -math.inf])}, "2 of 3 frames have no finite score."),
        ({"scores": np.array([])}, "too short for a score"),
    ],
)
def test_sentence_of_a_clip(changes: dict[str, Any], words: str) -> None:
    clip = clip_of(**changes)
    assert words in clip_sentence(clip)
    assert words in page_of(clips=[clip])


def whiteness(*deviations: float) -> Whiteness:
    """Of white noise with these deviations, one a microphone."""
    white = np.random.default_rng(0).normal(size=(len(deviations), 50_000)).astype(np.float32)
    return whiteness_of([white * np.array(deviations, np.float32)[:, None]], len(deviations))


def test_the_histogram_of_white_innovations_follows_its_uniform_line_in_each_microphone() -> None:
    figure = whiteness_figure(whiteness(1.0, 1.5), [2, 5])
    histograms = {trace.name: trace for trace in figure.data if trace.line.shape == "hv"}
    assert list(histograms) == ["microphone 2", "microphone 5"]
    uniform = next(shape for shape in figure.layout.shapes if shape.yref == "y")
    np.testing.assert_allclose(histograms["microphone 2"].y, uniform.y0, rtol=0.1)
    assert max(histograms["microphone 5"].y) > 1.5 * uniform.y0
    assert len(histograms["microphone 2"].x) == NUM_BINS + 1
    assert figure.layout.yaxis.range[1] > max(histograms["microphone 5"].y)


def test_the_table_has_a_line_a_microphone() -> None:
    rows = whiteness_table(whiteness(1.0, 1.5), [2, 5]).rows
    assert [row.cells[0].text for row in rows] == ["2", "5"]
    assert [float(row.cells[3].text) for row in rows] == pytest.approx([1.0, 2.25], rel=0.05)


def test_a_page_says_that_the_network_has_not_learned_the_machine_where_innovations_are_not_white() -> None:
    words = "The network has not learned this machine"
    assert words in page_of(whiteness=whiteness(1.5), microphones=[1])
    page = page_of(whiteness=whiteness(1.0), microphones=[1])
    assert words not in page
    assert 'data-figure="figure-whiteness"' in page
    assert "learned the machine" not in page_of()


def test_without_a_healthy_clip_there_are_no_figures_and_no_sentence() -> None:
    nothing = whiteness_of([], 2)
    assert whiteness_warning(nothing) is None
    assert whiteness_facts(nothing)["warning"] is None
    assert {cell.text for row in whiteness_table(nothing, [1, 2]).rows for cell in row.cells[1:]} == {"–"}
    assert 'data-figure="figure-whiteness"' in page_of(whiteness=nothing, microphones=[1, 2])
