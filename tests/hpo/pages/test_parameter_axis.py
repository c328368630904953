"""A parameter's range: ticks, and whether the winner lies at its edge."""

from typing import Any

import pytest

from hpo.pages.parameter_axis import ParameterAxis, boundary_sentences

AXES = {
    "window_ms": ParameterAxis(name="window_ms", low=100, high=3000, is_log=True),
    "threshold_sigmas": ParameterAxis(name="threshold_sigmas", low=0.5, high=6),
    "dilation_depth": ParameterAxis(name="dilation_depth", low=5, high=8, step=1),
    "fixed": ParameterAxis(name="fixed", low=3, high=3),
    "score": ParameterAxis(name="score", low=0, high=1, choices=("surprise", "entropy")),
}


@pytest.mark.parametrize(
    ("parameters", "edges"),
    [
        ({"window_ms": 2990.0}, ["upper edge of 100 to 3,000"]),
        ({"window_ms": 105.0}, ["lower edge"]),
        # 150 ms is 1.7 % of the range away from its lower edge, but 12 % in the scale that is searched.
        ({"window_ms": 150.0}, []),
        ({"threshold_sigmas": 0.6, "dilation_depth": 8}, ["lower edge", "upper edge"]),
        ({"threshold_sigmas": 0.62}, []),
        ({"fixed": 3, "score": "entropy", "dilation_depth": 6}, []),
    ],
)
def test_winner_at_the_edge_of_the_space(parameters: dict[str, Any], edges: list[str]) -> None:
    sentences = boundary_sentences(AXES, parameters)
    assert len(sentences) == len(edges)
    assert all(edge in sentence for edge, sentence in zip(edges, sentences, strict=True))


@pytest.mark.parametrize("axis", AXES.values(), ids=AXES)
def test_ticks_begin_and_end_at_the_edges_and_rise(axis: ParameterAxis) -> None:
    positions = [axis.position(value) for value, _ in axis.ticks()]
    assert positions == sorted(set(positions))
    if axis.low < axis.high:
        assert (positions[0], positions[-1]) == (0, 1)
