"""Training: it learns a tone, repeats bit for bit, and reports divergence."""

from typing import Any

import numpy as np
import pytest
import torch

from core.errors import UserError
from core.model.frontend import Codes, mu_law_encode
from core.model.training import ConfigurationFailed, EpochReport, HeldWindows, train_epochs
from core.model.training_config import TrainingConfig
from core.model.wavenet import WaveNet
from core.model.wavenet_config import WaveNetConfig
from core.thread_pool import ThreadPool

SAMPLE_RATE_HZ = 4000


def sine_clips(num_clips: int = 3, num_channels: int = 1, num_samples: int = 2000) -> Codes:
    """Tones whose phase differs from clip to clip."""
    phase = np.arange(num_clips * num_channels).reshape(num_clips, num_channels, 1)
    seconds = np.arange(num_samples) / SAMPLE_RATE_HZ
    return mu_law_encode((0.5 * np.sin(2 * np.pi * 155 * seconds + phase)).astype(np.float32))


def build(**shape: int) -> WaveNet:
    torch.manual_seed(3)
    small = {"num_channels": 1, "receptive_field_samples": 24, "dilation_depth": 4, "residual_channels": 8}
    return WaveNet(WaveNetConfig(**(small | shape)))


def config(**changes: Any) -> TrainingConfig:
    quick = {"epochs": 2, "seconds_per_epoch": 0.5, "batch_windows": 4, "window_targets": 100}
    return TrainingConfig(**(quick | changes))


def train(
    model: WaveNet, settings: TrainingConfig, *, seed: int = 0, num_threads: int = 1, clips: Codes | None = None
) -> list[EpochReport]:
    optimizer = torch.optim.Adam(model.parameters())
    clips = sine_clips() if clips is None else clips
    with ThreadPool(num_threads) as pool:
        return list(
            train_epochs(
                model,
                optimizer,
                HeldWindows(clips),
                config=settings,
                sample_rate_hz=SAMPLE_RATE_HZ,
                seed=seed,
                pool=pool,
            )
        )


def weights(model: WaveNet) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def test_a_tone_is_learned() -> None:
    model = build()
    entropy_at_start = model.sample_scores(torch.from_numpy(sine_clips())).entropy
    reports = train(model, config(epochs=3, seconds_per_epoch=3.0, learning_rate=1e-2))
    surprise = model.sample_scores(torch.from_numpy(sine_clips())).surprise
    assert entropy_at_start.mean() > 7
    assert [report.epoch for report in reports] == [1, 2, 3]
    assert reports[0].train_loss > reports[1].train_loss > reports[2].train_loss
    assert max(reports[-1].train_loss, surprise.mean().item()) < 4
    assert all(report.audio_seconds_per_second > 0 for report in reports)


@pytest.mark.parametrize("num_threads", [1, 2])
def test_the_same_seed_gives_the_same_bits_and_another_does_not(num_threads: int) -> None:
    def outcome(seed: int) -> tuple[torch.Tensor, list[float]]:
        model = build()
        reports = train(model, config(), seed=seed, num_threads=num_threads)
        return weights(model), [report.train_loss for report in reports]

    first, again, other = outcome(0), outcome(0), outcome(1)
    assert torch.equal(first[0], again[0])
    assert first[1] == again[1]
    assert not torch.equal(first[0], other[0])


@pytest.mark.parametrize("batch_windows", [1, 3, 4, 5])
def test_sharing_a_batch_out_changes_nothing_but_rounding(batch_windows: int) -> None:
    settings = config(epochs=1, batch_windows=batch_windows, seconds_per_epoch=0.1, learning_rate=1e-3)
    losses, ends = [], []
    for num_threads in (1, 2, 3):
        model = build().double()
        losses.append(train(model, settings, num_threads=num_threads)[0].train_loss)
        ends.append(weights(model))
    assert losses == pytest.approx([losses[0]] * 3, rel=1e-9)
    torch.testing.assert_close(ends, [ends[0]] * 3, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("norm", [1e-3, 1e3])
def test_a_step_follows_the_gradient_as_far_as_its_norm_is_allowed(norm: float) -> None:
    model, clips = build().double(), sine_clips(num_clips=1, num_samples=124)  # one window, so nothing is random
    before = weights(model)
    settings = config(epochs=1, gradient_norm=norm, batch_windows=1, seconds_per_epoch=0.025, learning_rate=0.1)
    gradient = torch.autograd.grad(model.loss_bits(torch.from_numpy(clips)), list(model.parameters()))
    slope = torch.cat([part.flatten() for part in gradient])
    optimizer = torch.optim.SGD(model.parameters())
    with ThreadPool(1) as pool:
        (report,) = train_epochs(
            model, optimizer, HeldWindows(clips), config=settings, sample_rate_hz=SAMPLE_RATE_HZ, seed=0, pool=pool
        )
    length = min(norm, slope.norm().item())
    step = report.learning_rate * length * slope / slope.norm()
    torch.testing.assert_close(weights(model) - before, -step, rtol=1e-4, atol=1e-12)


def test_an_epoch_depends_on_its_number_and_not_on_those_before() -> None:
    model, skipping = build(), build()
    optimizers = [torch.optim.SGD(m.parameters(), lr=0.0) for m in (model, skipping)]
    silent = {"config": config(epochs=3, learning_rate=1e-30), "sample_rate_hz": SAMPLE_RATE_HZ, "seed": 0}
    with ThreadPool(1) as pool:
        whole = list(train_epochs(model, optimizers[0], HeldWindows(sine_clips()), pool=pool, **silent))
        rest = list(
            train_epochs(skipping, optimizers[1], HeldWindows(sine_clips()), pool=pool, first_epoch=2, **silent)
        )
    assert [report.train_loss for report in rest] == [report.train_loss for report in whole[1:]]
    assert len({report.train_loss for report in whole}) == 3


def test_clips_shorter_than_a_window_are_used_whole() -> None:
    (report,) = train(build(), config(epochs=1), clips=sine_clips(num_samples=30))
    assert np.isfinite(report.train_loss)


@pytest.mark.parametrize(("warmup_share", "decay_share"), [(0.0, 1.0), (0.1, 0.5), (0.5, 0.5)])
def test_the_learning_rate_rises_stays_and_falls_to_zero(warmup_share: float, decay_share: float) -> None:
    settings = TrainingConfig(learning_rate=0.2, warmup_share=warmup_share, decay_share=decay_share)
    progress = np.linspace(0, 1, 1001)
    rates = np.array([settings.learning_rate_at(share) for share in progress])
    rising, falling = progress < warmup_share, progress >= 1 - decay_share
    np.testing.assert_allclose(rates[rising], 0.2 * progress[rising] / max(warmup_share, 1e-9))
    np.testing.assert_allclose(rates[~rising & ~falling], 0.2)
    np.testing.assert_allclose(rates[falling], 0.2 * (1 - progress[falling]) / decay_share, atol=1e-12)


@pytest.mark.parametrize(("warmup_share", "decay_share"), [(0.0, 0.0), (1.0, 0.0)])
def test_a_schedule_may_have_no_decay(warmup_share: float, decay_share: float) -> None:
    settings = TrainingConfig(learning_rate=0.2, warmup_share=warmup_share, decay_share=decay_share)
    assert settings.learning_rate_at(1.0) == 0.2


def test_the_last_step_is_half_a_step_from_the_end_of_the_schedule() -> None:
    settings = config(epochs=4, learning_rate=0.01)
    rates = [report.learning_rate for report in train(build(), settings)]
    num_steps = 4 * settings.steps_per_epoch(SAMPLE_RATE_HZ)
    assert rates[0] == 0.01
    assert rates[-1] == pytest.approx(0.01 * 0.5 / num_steps / settings.decay_share)


def test_divergence_is_the_configurations_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TrainingConfig, "learning_rate_at", lambda _config, _progress: 1e25)
    with pytest.raises(ConfigurationFailed, match=r"^the loss was not finite in epoch 1 \(learning rate [\d.e+]+\)$"):
        train(build(), config())


def test_steps_an_epoch_are_those_of_its_audio() -> None:
    settings = TrainingConfig(seconds_per_epoch=30.0, batch_windows=4, window_targets=1000)
    assert settings.steps_per_epoch(4000) == 30
    assert settings.steps_per_epoch(16_000) == 120
    assert TrainingConfig(seconds_per_epoch=0.001).steps_per_epoch(4000) == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", 0),
        ("batch_windows", 0),
        ("window_targets", -1),
        ("seconds_per_epoch", 0.0),
        ("learning_rate", float("nan")),
        ("gradient_norm", 0.0),
        ("warmup_share", 1.1),
        ("warmup_share", -0.1),
        ("decay_share", 1.5),
        ("weight_decay", -0.1),
        ("weight_decay", float("nan")),
    ],
)
def test_impossible_training_is_named_in_one_line(name: str, value: Any) -> None:
    with pytest.raises(UserError, match=rf"^training\.{name} must be [^\n]*, but got {value}\.$"):
        TrainingConfig(**{name: value})


def test_warmup_and_decay_cannot_overlap() -> None:
    line = r"^training\.warmup_share and decay_share must be at most 1 together, but got 0\.6 and 0\.5\.$"
    with pytest.raises(UserError, match=line):
        TrainingConfig(warmup_share=0.6, decay_share=0.5)


def test_an_unknown_optimizer_is_named_with_the_known_ones() -> None:
    with pytest.raises(UserError, match=r"^training\.optimizer must be one of muon, adam, but got 'sgd'\.$"):
        TrainingConfig(optimizer="sgd")  # type: ignore[arg-type]
