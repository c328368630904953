"""Detector files from strangers with the score `innovations`: the same promises as for every other score."""

import contextlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from core.decision.checkpoint import load_detector, save_detector
from core.decision.innovations_statistic import fit_innovations
from core.decision.postprocess import PostprocessingConfig
from core.errors import UserError
from core.model.frame_statistics import num_statistics
from core.model.scoring import ScoringConfig
from core.model.tensor_file import read_tensors
from tests.core.decision.test_hostile_detectors import (
    Header,
    Tensors,
    change_a_leaf,
    copied,
    drop,
    judges,
    loaded,
    put,
    refused,
    write,
)
from tests.small_detector import MACHINES, make_detector

NUM_FRAMES = 49
"""Of a clip of a second."""
HOSTILE_HEADERS = {
    "a deviation of 0": put("innovations", "standards", "colour", "deviation", value=0.0),
    "a deviation NaN": put("innovations", "changes", "deviation", value=float("nan")),
    "an infinite mean": put("innovations", "standards", "score", "mean", value=float("inf")),
    "a group that is missing": drop("innovations", "standards", "whiteness"),
    "a group that nobody knows": put("innovations", "standards", "loudness", value={"mean": 0.0, "deviation": 1.0}),
    "a key that nobody knows": put("innovations", "changes", "x", value=1.0),
    "a negative penalty": put("innovations", "penalty", value=-1.0),
    "segments of 0 frames": put("innovations", "shortest", value=0),
    "segments of 10^12 frames": put("innovations", "shortest", value=10**12),
    "no changes for the baseline both": drop("innovations", "changes"),
    "clips in 0 stretches": put("innovations", "num_stretches", value=0),
    "clips in a billion stretches": put("innovations", "num_stretches", value=10**9),
    "no machine": put("innovations", "machines", value=[]),
    "one machine twice": put("innovations", "machines", value=["car1", "car1"]),
    "one more machine than normal sounds": put("innovations", "machines", value=["car1", "car2", "car3"]),
    "no takes": put("innovations", "num_takes", value=[0, 2]),
    "more takes than there are": put("innovations", "num_takes", value=[1, 2]),
    "takes of one machine alone": put("innovations", "num_takes", value=[2]),
    "takes that are not counted, as before they were kept": drop("innovations", "num_takes"),
    "frame statistics of an earlier version": put("innovations", "frame_statistics", value=2),
    "frame statistics of a version that said nothing": drop("innovations", "frame_statistics"),
    "statistics of another detector": put("postprocessing", "statistics", value="network"),
    "no innovations": drop("innovations"),
    "calibrations beside them": put("calibrations", value={"car1": [{"mu": 0.0, "sigma": 1.0}] * 3}),
    "another score": put("scoring", "score", value="surprise"),
}


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> tuple[Header, Tensors]:
    shape = (len(MACHINES), 2, NUM_FRAMES, num_statistics(2))
    frames = np.random.default_rng(0).standard_normal(shape).astype(np.float16)
    config = PostprocessingConfig(window_ms=20, baseline="both")
    takes = [str(take) for take in range(len(MACHINES))]
    statistic = fit_innovations(config, frames, MACHINES, takes, frame_ms=20.0)
    scoring = ScoringConfig(score="innovations", frame_ms=20.0)
    detector = replace(make_detector(), statistic=statistic, scoring=scoring, clip_samples=4000, levels=None)
    path = tmp_path_factory.mktemp("good") / "detector.safetensors"
    save_detector(path, detector)
    tensors, header = read_tensors(path)
    return header, tensors


def test_the_untouched_file_judges(good, tmp_path):
    detector = loaded(write(tmp_path / "x.safetensors", *good))
    assert detector is not None
    judges(detector)


def test_a_detector_of_before_changes_were_interpolated_is_refused_with_the_repair(good, tmp_path: Path) -> None:
    kept = {name: tensor for name, tensor in good[1].items() if not name.endswith((".means", ".weights"))}
    with pytest.raises(UserError, match=r"Train a detector of an older version again\.$"):
        load_detector(write(tmp_path / "x.safetensors", good[0], kept))


def test_a_detector_of_before_deviations_were_decorrelated_is_refused_with_the_repair(good, tmp_path: Path) -> None:
    kept = {name: tensor for name, tensor in good[1].items() if not name.endswith(".decorrelation")}
    with pytest.raises(UserError, match=r"Train a detector of an older version again\.$"):
        load_detector(write(tmp_path / "x.safetensors", good[0], kept))


def test_a_detector_with_change_points_of_another_version_is_refused_with_the_repair(good, tmp_path: Path) -> None:
    header = copied(good[0])
    del header["innovations"]["change_points"]
    with pytest.raises(UserError, match=r"change_points must be \d+, but is 0\. .* train it again\.$"):
        load_detector(write(tmp_path / "x.safetensors", header, good[1]))


def test_a_header_in_another_order_is_the_same_detector_and_stays_the_same_when_saved(good, tmp_path: Path) -> None:
    header = copied(good[0])
    table = header["innovations"]["standards"]
    header["innovations"]["standards"] = dict(sorted(table.items()))
    assert list(table) != sorted(table)
    first, second = load_detector(write(tmp_path / "x.safetensors", header, good[1])), tmp_path / "y.safetensors"
    save_detector(second, first)
    again = load_detector(second)
    frames = np.random.default_rng(1).standard_normal((4, 2, NUM_FRAMES, num_statistics(2))).astype(np.float16)
    judged = (each.statistic.judge(frames, [MACHINES[0]] * 4).sigmas for each in (first, again))
    np.testing.assert_array_equal(*judged)


@pytest.mark.parametrize("change", HOSTILE_HEADERS.values(), ids=HOSTILE_HEADERS.keys())
def test_a_hostile_header_ends_in_one_line(change, good, tmp_path):
    header = copied(good[0])
    change(header)
    refused(write(tmp_path / "x.safetensors", header, good[1]))


@pytest.mark.parametrize(
    "name",
    [
        "normal.takes",
        "normal.spreads_of_machines",
        "changes.whitening",
        "colour.changes.means",
        "spectrum.changes.weights",
        "spectrum.decorrelation",
    ],
)
@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf"), 1e300])
def test_normal_sound_that_cannot_be_is_refused_or_found_out_or_still_gives_a_number(name, value, good, tmp_path: Path):
    tensors = {**good[1], name: torch.full_like(good[1][name], value)}
    path = write(tmp_path / "x.safetensors", good[0], tensors)
    detector = loaded(path)
    if detector is not None:
        overflows = value == 1e300 and name == "spectrum.changes.weights"
        with pytest.raises(UserError, match="its file is damaged") if overflows else contextlib.nullcontext():
            judges(detector)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e300, -1e7])
def test_a_whitening_by_which_no_change_could_be_found_is_refused(value: float, good, tmp_path: Path) -> None:
    whitening = good[1]["changes.whitening"].clone()
    whitening[0, 1, 2] = value
    refused(write(tmp_path / "x.safetensors", good[0], {**good[1], "changes.whitening": whitening}))


@settings(max_examples=60)
@given(data=st.data())
def test_any_leaf_may_be_anything(data, good, tmp_path_factory):
    change_a_leaf(data, good, tmp_path_factory.getbasetemp() / "innovations_leaf.safetensors")
