"""Checkpoints: a loaded detector judges exactly like the saved one, and other files are refused in one line."""

import os
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from core.decision.checkpoint import FORMAT, load_detector, save_detector
from core.errors import UserError
from core.model.tensor_file import load_training_state, read_tensors, save_training_state, write_tensors
from core.model.training import EpochReport, HeldWindows, train_epochs
from core.model.training_config import TrainingConfig
from core.model.wavenet import WaveNet
from core.thread_pool import ThreadPool
from tests.small_detector import MACHINES, SHAPE, build, frame_scores, make_detector


def test_a_detector_that_was_loaded_judges_as_the_one_that_was_saved(tmp_path: Path) -> None:
    saved = make_detector()
    save_detector(tmp_path / "detector.safetensors", saved)
    loaded = load_detector(tmp_path / "detector.safetensors")
    assert loaded.model.config == saved.model.config
    assert loaded.front_end == saved.front_end
    assert loaded.scoring == saved.scoring
    assert loaded.statistic == saved.statistic
    assert loaded.levels == saved.levels
    assert loaded.healthy == saved.healthy
    assert loaded.stand_ins == saved.stand_ins
    assert (loaded.clip_samples, loaded.context_samples) == (saved.clip_samples, saved.context_samples)
    judged = [
        detector.statistic.judge(frame_scores(detector.model, detector.front_end, "entropy"), MACHINES)
        for detector in (saved, loaded)
    ]
    np.testing.assert_array_equal(judged[0].clip_scores, judged[1].clip_scores)
    np.testing.assert_array_equal(judged[0].channel_sigmas, judged[1].channel_sigmas)
    assert [path.name for path in tmp_path.iterdir()] == ["detector.safetensors"]


def test_a_detector_that_says_nothing_of_stand_ins_still_loads(tmp_path: Path) -> None:
    save_detector(tmp_path / "detector.safetensors", replace(make_detector(), stand_ins=()))
    assert load_detector(tmp_path / "detector.safetensors").stand_ins == ()


def test_a_detector_without_healthy_scores_still_loads(tmp_path: Path) -> None:
    save_detector(tmp_path / "detector.safetensors", replace(make_detector(), healthy=None))
    assert load_detector(tmp_path / "detector.safetensors").healthy is None


def train(model: WaveNet, optimizer: torch.optim.Optimizer, first_epoch: int, num_epochs: int) -> list[EpochReport]:
    codes = np.random.default_rng(1).integers(64, size=(4, 2, 300), dtype=np.uint8)
    config = TrainingConfig(epochs=4, seconds_per_epoch=0.5, batch_windows=3, window_targets=60, learning_rate=1e-2)
    with ThreadPool(1) as pool:
        epochs = train_epochs(
            model,
            optimizer,
            HeldWindows(codes),
            config=config,
            sample_rate_hz=2000,
            seed=5,
            pool=pool,
            first_epoch=first_epoch,
        )
        return list(islice(epochs, num_epochs))


def test_training_that_continues_is_bit_for_bit_training_that_never_stopped(tmp_path: Path) -> None:
    model = build()
    optimizer = torch.optim.Adam(model.parameters())
    whole = train(model, optimizer, 1, 4)

    first = build()
    first_optimizer = torch.optim.Adam(first.parameters())
    parts = train(first, first_optimizer, 1, 2)
    save_training_state(tmp_path / "state", first, first_optimizer, {"history": [1, 2], "note": "half-way"})

    torch.manual_seed(99)
    second = WaveNet(SHAPE)
    second_optimizer = torch.optim.Adam(second.parameters())
    header = load_training_state(tmp_path / "state", second, second_optimizer)
    parts += train(second, second_optimizer, 3, 2)

    assert header == {"history": [1, 2], "note": "half-way"}
    assert [report.train_loss for report in parts] == [report.train_loss for report in whole]
    for (name, expected), (_, found) in zip(model.state_dict().items(), second.state_dict().items(), strict=True):
        assert torch.equal(expected, found), name
    for index, moments in optimizer.state_dict()["state"].items():
        for name, expected in moments.items():
            assert torch.equal(expected, second_optimizer.state_dict()["state"][index][name]), (index, name)


def test_a_failed_write_leaves_the_file_that_was_there(tmp_path: Path) -> None:
    path = tmp_path / "state"
    write_tensors(path, {"x": torch.ones(3)}, {"epoch": 1})
    with pytest.raises(TypeError):
        write_tensors(path, {"x": torch.zeros(3)}, {"epoch": object()})
    tensors, header = read_tensors(path)
    assert tensors["x"].tolist() == [1, 1, 1]
    assert header == {"epoch": 1}


@pytest.mark.parametrize("umask", [0o022, 0o027, 0o077])
def test_who_may_read_a_file_follows_the_umask(umask: int, tmp_path: Path) -> None:
    before = os.umask(umask)
    try:
        write_tensors(tmp_path / "state", {"x": torch.ones(3)}, {})
    finally:
        os.umask(before)
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o666 & ~umask


@pytest.mark.parametrize("share", [0.0, 0.001, 0.2, 0.6, 0.999])
def test_a_torn_file_is_named_in_one_line(share: float, tmp_path: Path) -> None:
    path = tmp_path / "detector.safetensors"
    save_detector(path, make_detector())
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(UserError, match=r"^[^\n]*detector\.safetensors must be a detector's file, but [^\n]*$"):
        load_detector(path)


def test_a_detector_of_an_older_format_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "detector.safetensors"
    save_detector(path, make_detector())
    tensors, header = read_tensors(path)
    write_tensors(path, tensors, {**header, "format": "wavenet-detector-1"})
    with pytest.raises(UserError, match=rf"^{path} must be [^\n]*format must be {FORMAT}, but is wavenet-[^\n]*$"):
        load_detector(path)


def test_files_of_other_kinds_are_named_in_one_line(tmp_path: Path) -> None:
    text, foreign, state = tmp_path / "text", tmp_path / "foreign", tmp_path / "state"
    text.write_text("the quick brown fox\n" * 50)
    save_file({"x": torch.ones(3)}, foreign)
    model = build()
    save_training_state(state, model, torch.optim.Adam(model.parameters()), {"history": []})
    for path in (text, foreign, state, tmp_path / "missing", tmp_path):
        with pytest.raises(UserError, match=rf"^{path} must be a detector's file[^\n]*$"):
            load_detector(path)
    with pytest.raises(UserError, match="but it is a file of another kind"):
        load_detector(text)
