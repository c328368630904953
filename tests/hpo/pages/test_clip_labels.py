"""A clip's figure marks what people labelled beside what the detector flagged."""

from typing import Any

import numpy as np
import pytest

from hpo.pages.clip_figure import ClipView, clip_figures, clip_sentence

RATE_HZ = 4000
FLAGGED = ((0.5, 0.75, 2),)


def clip_of(labelled: tuple[tuple[float, float], ...] | None, *, flagged: Any = FLAGGED) -> ClipView:
    return ClipView(
        title="A clip", machine="car", label="anomalous", condition="", sample_rate_hz=RATE_HZ, frame_ms=20.0,
        waveform=np.random.default_rng(0).normal(0, 0.1, 2 * RATE_HZ).astype(np.float32), scores=np.zeros(97),
        threshold_sigmas=2.0, events=flagged, first_frame_s=0.05, labelled=labelled,
    )  # fmt: skip


def names(figure: Any) -> set[str]:
    return {trace.name for trace in figure.data}


def test_labelled_spans_are_framed_and_flagged_ones_are_filled() -> None:
    (figure,) = clip_figures([clip_of(((0.4, 0.7), (1.2, 2.0)))])
    shapes = figure.layout.shapes
    assert [(shape.x0, shape.x1) for shape in shapes if shape.fillcolor] == [(0.5, 0.75)]
    assert [(shape.x0, shape.x1) for shape in shapes if not shape.fillcolor] == [(0.4, 0.7), (1.2, 2.0)]
    assert {shape.yref for shape in shapes} == {"paper"}  # over both panels
    assert {"flagged event", "labelled event"} <= names(figure)


@pytest.mark.parametrize("labelled", [None, ()])
def test_without_labels_nothing_is_framed_or_named(labelled: tuple[tuple[float, float], ...] | None) -> None:
    (figure,) = clip_figures([clip_of(labelled)])
    assert len(figure.layout.shapes) == 1
    assert "labelled event" not in names(figure)
    assert "By its labels" not in clip_sentence(clip_of(labelled))


def test_labels_in_words() -> None:
    sentence = clip_sentence(clip_of(((0.4, 0.7), (1.2, 2.0)), flagged=()))
    assert "no event. The labels place the fault at 0.40 to 0.70 s, 1.20 to 2.00 s." in sentence
    assert "and 8 more times." in clip_sentence(clip_of(((0.0, 0.1),) * 20))
