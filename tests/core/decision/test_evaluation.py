"""The figures of an epoch for clips with labelled events: which events count as found, and which do not count."""

from itertools import product

import numpy as np
import pytest

from core.data.audio import quantise
from core.data.clips import ClipSet, Spans, read_clips
from core.data.recordings import Recording, Take
from core.decision.evaluation import evaluate
from core.decision.postprocess import PostprocessingConfig
from core.model.scoring import FrameScores, ScoringConfig
from tests.frame_scores import frame_scores

RATE_HZ = 1000
CONTEXT = 100
FRAME = 25
CLIP = 2000
PLAIN = PostprocessingConfig(window_ms=FRAME, threshold_sigmas=3.0, median_ms=0, gap_ms=0, min_event_ms=0)


def take(label: str, events: Spans | None = None, num_clips: int = 3) -> Take:
    samples = np.random.default_rng(0).standard_normal((2, num_clips * CLIP)).astype(np.float32)
    recording = Recording(
        recording_id=f"{label} {events}",
        machine="fan",
        label=label,
        num_channels=2,
        sample_rate_hz=RATE_HZ,
        num_samples=samples.shape[1],
        digest="0",
        events=events,
        read=lambda: samples,
    )
    return Take(recording=recording, audio=quantise(samples))


def clips(*takes: Take) -> ClipSet:
    return read_clips(takes, CLIP, RATE_HZ)


def scores(of: ClipSet, marked: dict[int, Spans] | None = None, context: int = CONTEXT) -> FrameScores:
    """Scores that are low except in frames that lie completely in a clip's events."""
    num_frames = (CLIP - context) // FRAME
    bits = np.random.default_rng(len(of)).normal(4, 0.1, (len(of), 2, num_frames)).clip(3.9, 4.1).astype(np.float32)
    for clip, frame in product(marked or {}, range(num_frames)):
        begin, end = (context + frame * FRAME) / RATE_HZ, (context + (frame + 1) * FRAME) / RATE_HZ
        if any(a <= begin + 1e-9 and end <= b + 1e-9 for a, b in (marked or {})[clip]):
            bits[clip, :, frame] = 9.0
    return frame_scores(bits)


def figures(judged: ClipSet, marked: dict[int, Spans], context: int = CONTEXT) -> dict[str, float]:
    """Evaluates the same clips and scores as validation and as test."""
    calibration = clips(take("normal"))
    found = scores(judged, marked, context)
    _, all_figures = evaluate(
        {"calibration": scores(calibration, context=context), "validation": found, "test": found},
        {"calibration": calibration, "validation": judged, "test": judged},
        scoring=ScoringConfig(frame_ms=FRAME),
        postprocessing=PLAIN,
        context_samples=context,
        sample_rate_hz=RATE_HZ,
    )
    return all_figures


EVENT_KEYS = {"val_event_f1", "val_segment_f1", "test_event_f1", "test_segment_f1"}


@pytest.mark.parametrize(
    "events",
    [
        ((0.5, 0.8),),
        ((0.5, 0.8), (1.2, 1.3), (5.0, 5.5)),
        ((1.9, 2.0),),  # up to a clip's border
        ((2.0, 2.4),),  # from it on: heard once the context is over
        ((1.5, 2.5),),  # across it: an event in either clip
        ((0.0, 6.0),),
    ],
)
def test_scores_that_mark_exactly_the_events_have_found_them_all(events):
    judged = clips(take("anomalous", events), take("normal"))
    found = figures(judged, dict(enumerate(judged.events or ())))
    assert {found[key] for key in EVENT_KEYS} == {1.0}
    assert (found["val_f1"], found["val_auc"], found["test_f1"], found["test_auc"]) == (1, 1, 1, 1)


def test_a_clip_of_an_anomalous_take_is_anomalous_only_with_an_event():
    judged = clips(take("anomalous", ((2.5, 2.9),)))
    assert judged.is_anomalous.tolist() == [False, True, False]
    assert figures(judged, {1: ((0.5, 0.9),)})["val_f1"] == 1
    assert figures(judged, {0: ((0.5, 0.9),), 2: ((0.5, 0.9),)})["val_f1"] == 0
    assert figures(judged, {0: ((0.5, 0.9),), 1: ((0.5, 0.9),)})["val_f1"] == pytest.approx(2 / 3)


def test_without_labelled_events_there_are_no_event_figures():
    judged = clips(take("anomalous", ((2.5, 2.9),)), take("anomalous"), take("normal"))
    found = figures(judged, {1: ((0.5, 0.9),)})
    assert not EVENT_KEYS & set(found)
    assert {"val_loss", "val_f1", "val_auc", "test_loss", "test_f1", "test_auc"} <= set(found)


def test_events_at_wrong_places_are_misses_and_false_alarms():
    judged = clips(take("anomalous", ((0.5, 0.8),)), take("normal"))
    assert figures(judged, {0: ((1.2, 1.5),)})["val_event_f1"] == 0
    assert figures(judged, {1: ((0.5, 0.8),)})["val_event_f1"] == 0  # the right place in another clip
    found = figures(judged, {0: ((0.5, 0.8),), 4: ((0.5, 0.8),)})
    assert found["val_event_f1"] == found["val_segment_f1"] == pytest.approx(2 / 3)


def test_an_event_within_the_context_is_neither_found_nor_missed():
    events = ((0.02, 0.09), (0.5, 0.8))
    judged = clips(take("anomalous", events), take("normal"))
    assert figures(judged, {0: ((0.5, 0.8),)})["val_event_f1"] == 1
    assert figures(clips(take("anomalous", events[:1]), take("normal")), {})["val_event_f1"] == 0


def test_an_event_that_outlasts_the_context_counts_from_its_end():
    judged = clips(take("anomalous", ((0.0, 0.4),)), take("normal"))
    assert figures(judged, {0: ((0.3, 0.4),)})["val_event_f1"] == 1  # 0.2 s after the context's end, within tolerance
    assert figures(judged, {0: ((0.375, 0.4),)})["val_event_f1"] == 0


def test_an_event_after_the_last_whole_frame_is_neither_found_nor_missed():
    judged = clips(take("anomalous", ((0.52, 0.82), (1.996, 2.0)), num_clips=1), take("normal"))
    assert figures(judged, {0: ((0.52, 0.82),)}, context=120)["val_event_f1"] == 1  # frames end at 1.995 s
    assert figures(judged, {0: ((0.525, 0.825),)}, context=100)["val_event_f1"] == pytest.approx(2 / 3)  # at 2 s


def test_losses_are_means_over_their_clips():
    judged = clips(take("anomalous", ((2.5, 2.9),)))
    found = figures(judged, {1: ((0.5, 0.9),)})
    surprise = scores(judged, {1: ((0.5, 0.9),)}).surprise
    assert found["val_loss"] == found["test_loss"] == pytest.approx(float(surprise.mean()))
    assert found["test_loss_anomalous"] == pytest.approx(float(surprise[1].mean()))
    assert found["test_loss_normal"] == pytest.approx(float(surprise[[0, 2]].mean()))
