"""The estimate names the faster precision of products, where there can be one. A clock of the test's own decides which
is faster: real ones differ from machine to machine."""

from typing import Any

import pytest

from core.experiment import ExperimentConfig
from core.model.wavenet_config import Precision
from hpo.search import estimate
from tests.conftest import Command

WIDE = (
    "network.residual_channels=64",
    "space.residual_channels={low=64, high=128, step=64}",
    "limits.max_weights=9_000_000",
)


def settings(*assignments: str) -> list[str]:
    return [word for each in assignments for word in ("--set", each)]


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> dict[tuple[Precision, int], float]:
    """Seconds of a trial by precision and residual channels, 1 where nothing else is set. What is timed is added."""
    seconds: dict[tuple[Precision, int], float] = {}

    def trial_seconds(config: ExperimentConfig, *_: Any) -> float:
        return seconds.setdefault((config.network.precision, config.network.residual_channels), 1.0)

    monkeypatch.setattr(estimate, "trial_seconds", trial_seconds)
    return seconds


@pytest.mark.parametrize(("now", "other"), [("float32", "bfloat16"), ("bfloat16", "float32")])
@pytest.mark.parametrize(("share", "is_named"), [(0.5, True), (0.9, True), (0.95, False), (1.2, False)])
def test_a_precision_that_takes_a_tenth_less_time_is_named(
    timed: dict[tuple[Precision, int], float],
    run: Command,
    now: Precision,
    other: Precision,
    share: float,
    is_named: bool,
) -> None:
    timed[other, 128] = share
    said = run("--dry-run", *settings(*WIDE, f"network.precision={now}"))
    line = f"the largest takes {share:.2f} of this with products in {other}: --fresh --set network.precision={other}"
    assert (line in said) == is_named
    assert ("with products in" in said) == is_named


def test_narrow_networks_are_timed_in_their_own_precision_alone(
    timed: dict[tuple[Precision, int], float], run: Command
) -> None:
    assert "with products in" not in run("--dry-run")
    assert {precision for precision, _ in timed} == {"float32"}


def test_what_has_begun_is_not_told_to_begin_again(timed: dict[tuple[Precision, int], float], run: Command) -> None:
    timed["bfloat16", 128] = 0.5
    assert "with products in bfloat16" in run("--trials", "1", *settings(*WIDE))
    assert "with products in" not in run("--trials", "2", *settings(*WIDE))
