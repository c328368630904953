"""Products in bfloat16: nearly the same figures, and nothing of it where float32 is asked for."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from core.model.fast.precision import products_in
from core.model.wavenet import WaveNet
from core.model.wavenet_config import PRECISIONS, Precision
from tests.small_wavenet import random_codes, small_wavenet


@pytest.fixture(autouse=True)
def _usual_setting() -> Iterator[None]:
    before = torch.get_float32_matmul_precision()
    yield
    assert torch.get_float32_matmul_precision() == before


def network_in(precision: Precision) -> WaveNet:
    """Of products that are large enough for bfloat16."""
    model = small_wavenet(residual_channels=32, skip_channels=64, mu_law_levels=64, num_channels=2)
    model.config = replace(model.config, precision=precision)
    return model


def figures(model: WaveNet, codes: Tensor) -> list[Tensor]:
    loss, gradient = model.fast().loss_and_gradient(codes)
    return [loss, gradient / gradient.norm(), *model.sample_scores(codes)]


@pytest.fixture(scope="module")
def codes() -> Tensor:
    return random_codes(network_in("float32"), 300, num_clips=2)


def test_the_figures_are_nearly_those_of_float32(codes: Tensor) -> None:
    exact, rounded = (figures(network_in(precision), codes) for precision in PRECISIONS)
    for ours, reference in zip(rounded, exact, strict=True):
        torch.testing.assert_close(ours, reference, rtol=0.02, atol=0.02)


@pytest.mark.skipif(not torch.ops.mkldnn._is_mkldnn_bf16_supported(), reason="this processor has no bfloat16")
def test_products_are_rounded_in_training_and_in_scoring(codes: Tensor) -> None:
    exact, rounded = (figures(network_in(precision), codes) for precision in PRECISIONS)
    assert not any(torch.equal(*pair) for pair in zip(rounded, exact, strict=True))


def test_float32_is_exact_whatever_the_process_has_set(codes: Tensor) -> None:
    model = network_in("float32")
    expected = figures(model, codes)
    torch.set_float32_matmul_precision("medium")
    try:
        found = figures(model, codes)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")
    assert all(torch.equal(*pair) for pair in zip(found, expected, strict=True))


def test_threads_of_both_precisions_get_what_they_get_alone(codes: Tensor) -> None:
    models = [network_in(precision) for precision in PRECISIONS] * 2
    alone = [figures(model, codes) for model in models]
    with ThreadPoolExecutor(len(models)) as threads:
        for _ in range(10):
            for together, expected in zip(threads.map(figures, models, [codes] * 4), alone, strict=True):
                assert all(torch.equal(*pair) for pair in zip(together, expected, strict=True))


def test_an_error_within_leaves_the_setting_as_it_was() -> None:
    with suppress(ZeroDivisionError), products_in("bfloat16"):
        assert torch.get_float32_matmul_precision() == "medium"
        raise ZeroDivisionError
    assert torch.get_float32_matmul_precision() == "highest"
