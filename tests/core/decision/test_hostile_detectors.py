"""Detector files from strangers: whatever the header claims, the end is one line, soon, and in little memory."""

import json
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from core.decision.checkpoint import Detector, load_detector, save_detector
from core.detect import main
from core.detection.clips import judge_recording, requirements_of
from core.detection.files import open_waveform
from core.errors import UserError
from core.model.tensor_file import HEADER, MAX_HEADER_BYTES, read_tensors
from core.thread_pool import ThreadPool
from tests.small_detector import make_detector

MAX_SECONDS = 1.0
MAX_BYTES = 256 * 2**20
"""Of address space beyond what the process has already."""
Header = dict[str, Any]
Tensors = dict[str, torch.Tensor]
GOOD = make_detector()


@contextmanager
def bounded() -> Iterator[None]:
    """Fails what takes too long; what wants too much memory gets none."""
    limits = resource.getrlimit(resource.RLIMIT_AS)
    num_pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (num_pages * resource.getpagesize() + MAX_BYTES, limits[1]))
    started = time.perf_counter()
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)
    assert time.perf_counter() - started < MAX_SECONDS


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> tuple[Header, Tensors]:
    path = tmp_path_factory.mktemp("good") / "detector.safetensors"
    save_detector(path, GOOD)
    tensors, header = read_tensors(path)
    return header, tensors


def put(*keys: str | int, value: Any) -> Callable[[Header], None]:
    """Sets one leaf."""

    def change(header: Header) -> None:
        place: Any = header
        for key in keys[:-1]:
            place = place[key]
        place[keys[-1]] = value

    return change


def drop(*keys: str) -> Callable[[Header], None]:
    def change(header: Header) -> None:
        place = header
        for key in keys[:-1]:
            place = place[key]
        del place[keys[-1]]

    return change


HOSTILE_HEADERS = {
    "a billion microphones": put("network", "num_channels", value=10**9),
    "no microphones": put("network", "num_channels", value=0),
    "a billion levels": put("network", "mu_law_levels", value=10**9),
    "levels of another front end": put("front_end", "mu_law_levels", value=32),
    "a billion layers a stack": put("network", "dilation_depth", value=10**9),
    "a negative depth": put("network", "dilation_depth", value=-3),
    "a receptive field of 10^12": put("network", "receptive_field_samples", value=10**12),
    "a receptive field of 10^400": put("network", "receptive_field_samples", value=10**400),
    "a receptive field of 0": put("network", "receptive_field_samples", value=0),
    "residual channels of 10^9": put("network", "residual_channels", value=10**9),
    "skip channels of 10^9": put("network", "skip_channels", value=10**9),
    "one more residual channel": put("network", "residual_channels", value=6),
    "a float where a count is": put("network", "residual_channels", value=5.5),
    "a word where a number is": put("network", "skip_channels", value="7"),
    "truth where a number is": put("network", "num_channels", value=True),
    "a list where a table is": put("network", value=[]),
    "null where a table is": put("front_end", value=None),
    "a rate of 0": put("front_end", "sample_rate_hz", value=0),
    "a negative rate": put("front_end", "sample_rate_hz", value=-2000),
    "a rate of 10^30": put("front_end", "sample_rate_hz", value=10**30),
    "pre-emphasis NaN": put("front_end", "pre_emphasis", value=float("nan")),
    "no gains": put("channel_gains", value=[]),
    "a million gains": put("channel_gains", value=[1.0] * 100_000),
    "an infinite gain": put("channel_gains", 0, value=float("inf")),
    "a gain of 10^300": put("channel_gains", 0, value=1e300),
    "a negative gain": put("channel_gains", 1, value=-1.0),
    "an unknown score": put("scoring", "score", value="__class__"),
    "frames of 0 ms": put("scoring", "frame_ms", value=0),
    "frames of 10^9 ms": put("scoring", "frame_ms", value=10**9),
    "frames of the statistic of 0 ms": put("frame_ms", value=0.0),
    "frames of the statistic NaN": put("frame_ms", value=float("nan")),
    "a window of -1 ms": put("postprocessing", "window_ms", value=-1.0),
    "a window of 10^300 ms": put("postprocessing", "window_ms", value=1e300),
    "a median of 10^12 ms": put("postprocessing", "median_ms", value=1e12),
    "a gap of 10^12 ms": put("postprocessing", "gap_ms", value=1e12),
    "events of 10^12 ms": put("postprocessing", "min_event_ms", value=1e12),
    "a hysteresis of -1 sigmas": put("postprocessing", "hysteresis_sigmas", value=-1.0),
    "a hysteresis NaN": put("postprocessing", "hysteresis_sigmas", value=float("nan")),
    "a threshold NaN": put("postprocessing", "threshold_sigmas", value=float("nan")),
    "an infinite threshold": put("postprocessing", "threshold_sigmas", value=float("-inf")),
    "an unknown fusion": put("postprocessing", "fusion", value="sum"),
    "no calibrations": put("calibrations", value={}),
    "no columns of a calibration": put("calibrations", "car1", value=[]),
    "a column too many": put("calibrations", "car1", value=[{"mu": 0.0, "sigma": 1.0}] * 4),
    "a calibration without sigma": put("calibrations", "car2", 0, value={"mu": 1.0}),
    "a sigma of 0": put("calibrations", "car2", 0, "sigma", value=0.0),
    "a sigma of 10^-300": put("calibrations", "car2", 1, "sigma", value=1e-300),
    "a mu of 10^300": put("calibrations", "car2", 2, "mu", value=-1e300),
    "clips of 0 samples": put("clip_samples", value=0),
    "clips of 10^12 samples": put("clip_samples", value=10**12),
    "clips of 10^400 samples": put("clip_samples", value=10**400),
    "clips with no room for a frame": put("clip_samples", value=69),
    "negative clips": put("clip_samples", value=-1500),
    "a context of 10^12": put("context_samples", value=10**12),
    "a context below the receptive field": put("context_samples", value=19),
    "a negative context": put("context_samples", value=-1),
    "levels of other machines": put("levels", value={"pump": [{"quietest_dbfs": -9.0, "loudest_dbfs": -8.0}] * 2}),
    "levels that descend": put("levels", "car1", 0, "quietest_dbfs", value=0.0),
    "levels of one channel": put("levels", "car1", value=[{"quietest_dbfs": -9.0, "loudest_dbfs": -8.0}]),
    "an infinite level": put("levels", "car1", 0, "quietest_dbfs", value=float("-inf")),
    "another format": put("format", value="wavenet-detector-99"),
    "a format that is a list": put("format", value=[[["wavenet-detector-3"]]]),
    "a key that nobody knows": put("extra", value=1),
    "a key of the network that nobody knows": put("network", "__init__", value=1),
    "no network": drop("network"),
    "no format": drop("format"),
    "no width": drop("network", "residual_channels"),
    "no clip length": drop("clip_samples"),
    "nesting where a number is": put("clip_samples", value=json.loads("[" * 150 + "]" * 150)),
}  # fmt: skip


def write(path: Path, header: Header | str, tensors: Tensors) -> Path:
    save_file(tensors, path, metadata={HEADER: header if isinstance(header, str) else json.dumps(header)})
    return path


def refused(path: Path) -> str:
    """The message of the one line."""
    with bounded(), pytest.raises(UserError) as error:
        load_detector(path)
    message = str(error.value)
    assert message.startswith(f"{path} must be a ")
    assert message.isprintable()
    assert len(message) < len(str(path)) + 600
    return message


def copied(header: Header) -> Header:
    return json.loads(json.dumps(header))  # type: ignore[no-any-return]


@pytest.mark.parametrize("change", HOSTILE_HEADERS.values(), ids=HOSTILE_HEADERS.keys())
def test_a_hostile_header_ends_in_one_line(change, good, tmp_path):
    header = copied(good[0])
    change(header)
    refused(write(tmp_path / "x.safetensors", header, good[1]))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "null",
        "[]",
        "3",
        "NaN",
        '"wavenet-detector-3"',
        "[" * 100_000,
        '{"format":' * 50_000,
        "\u202e\x00\n",
        "9" * 5000,
    ],
    ids=lambda text: text[:12].encode("unicode_escape").decode(),
)
def test_a_header_that_is_no_table_ends_in_one_line(text, good, tmp_path):
    refused(write(tmp_path / "x.safetensors", text, good[1]))


def test_numbers_with_thousands_of_digits_end_in_one_line(good, tmp_path):
    text = json.dumps(good[0]).replace('"clip_samples": 1500', f'"clip_samples": {"9" * 5000}')
    refused(write(tmp_path / "x.safetensors", text, good[1]))


@pytest.mark.parametrize("name", ["heads.bias", "blocks.0.gate.weight", "embedding.weight"])
@pytest.mark.parametrize(
    "change",
    [
        lambda tensors, name: tensors.pop(name),
        lambda tensors, name: tensors.update({name: tensors[name][:-1].clone()}),
        lambda tensors, name: tensors.update({name: tensors[name].double()}),
        lambda tensors, name: tensors.update({name: tensors[name].flatten()[None, None].clone()}),
        lambda tensors, name: tensors.update({f"{name}.more": torch.zeros(1)}),
        lambda tensors, name: tensors.update({f"{name}": torch.zeros(0)}),
        lambda tensors, name: tensors.update({name: torch.full_like(tensors[name], float("nan"))}),
    ],
    ids=["missing", "short", "double", "reshaped", "extra", "empty", "nan"],
)
def test_tensors_of_another_network_end_in_one_line(change, name, good, tmp_path):
    tensors = dict(good[1])
    change(tensors, name)
    refused(write(tmp_path / "x.safetensors", good[0], tensors))


def test_a_file_of_holes_is_not_read(good, tmp_path):
    """Safetensors with a table of one tensor of 1 TB, in a sparse file of that size."""
    num_bytes = 2**40
    table = {"__metadata__": {HEADER: json.dumps(good[0])}}
    tensor = {"dtype": "F32", "shape": [num_bytes // 4], "data_offsets": [0, num_bytes]}
    text = json.dumps(table | {"heads.bias": tensor}).encode()
    path = tmp_path / "x.safetensors"
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + num_bytes)
    refused(path)


@pytest.mark.parametrize("num_bytes", [MAX_HEADER_BYTES + 1, 2**63, 2**64 - 1])
def test_a_header_that_would_be_too_long_is_not_read(num_bytes, tmp_path):
    path = tmp_path / "x.safetensors"
    path.write_bytes(num_bytes.to_bytes(8, "little") + b"{" * 100)
    assert "its header has" in refused(path)


def test_what_is_no_plain_file_is_not_opened():
    assert "no plain file" in refused(Path("/dev/zero"))


def test_the_command_ends_with_2_and_one_line(good, tmp_path, capsys):
    header = copied(good[0])
    header["network"]["num_channels"] = 10**9
    path = write(tmp_path / "x.safetensors", header, good[1])
    assert main([str(path), "x.wav"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == (
        f"error: {path} must be a detector's file, but in its header network.num_channels must be 1 to 1024, "
        "but got 1000000000.\n"
    )


def test_weights_that_overflow_are_not_called_normal(tmp_path):
    detector = replace(GOOD, levels=None)
    weights = {name: torch.full_like(weight, 3e38) for name, weight in GOOD.model.state_dict().items()}
    model = type(GOOD.model)(GOOD.model.config)
    model.load_state_dict(weights)
    save_detector(tmp_path / "x.safetensors", replace(detector, model=model))
    with pytest.raises(UserError, match="scores must be finite"):
        judges(load_detector(tmp_path / "x.safetensors"))


def judges(detector: Detector) -> None:
    needed = requirements_of(detector)
    waveform = np.random.default_rng(0).normal(0, 0.1, (needed.num_channels, needed.min_samples + 900))
    audio = open_waveform(waveform, needed.sample_rate_hz, needed)
    with ThreadPool(1) as pool:
        judged = judge_recording(audio, detector, min(detector.statistic.machines), pool=pool)
    assert not np.isnan(judged.score_sigmas)


def leaves(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every place in the header, tables and lists included."""
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from leaves(item, (*path, key))


NUMBERS = st.integers() | st.floats() | st.sampled_from([0, -1, 1, 2, 2**31, 2**63, 10**9, 10**30, 1e-300, 1e300, 0.5])
ANYTHING = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


def loaded(path: Path) -> Detector | None:
    """None where it is refused in one line."""
    try:
        return load_detector(path)
    except UserError as error:
        message = str(error)
    assert message.isprintable()
    return None


def change_a_leaf(data: st.DataObject, good: tuple[Header, Tensors], path: Path) -> None:
    """A file in which a leaf is anything is refused in one line, or it is a detector that judges."""
    header = copied(good[0])
    place = data.draw(st.sampled_from(sorted(leaves(header), key=str)))
    put(*place, value=data.draw(NUMBERS if data.draw(st.booleans()) else ANYTHING))(header)
    write(path, header, good[1])
    with bounded():
        detector = loaded(path)
    if detector is not None and detector.clip_samples < 100_000:
        with bounded():
            judges(detector)


@settings(max_examples=100)
@given(data=st.data())
def test_any_leaf_may_be_anything(data, good, tmp_path_factory):
    change_a_leaf(data, good, tmp_path_factory.getbasetemp() / "leaf.safetensors")


@settings(max_examples=100)
@given(data=st.data())
def test_any_byte_may_be_any_other(data, good, tmp_path_factory):
    path = write(tmp_path_factory.getbasetemp() / "byte.safetensors", good[0], good[1])
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, 4000))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    with bounded():
        loaded(path)
