"""How a real study stands among replayed ones."""

import numpy as np
import pytest

from benchmarks.live_studies import rank_among


@pytest.mark.parametrize(("value", "rank"), [(0.0, 0.0), (1.0, 0.125), (2.5, 0.5), (4.0, 0.875), (5.0, 1.0)])
def test_the_rank_is_the_share_that_is_below_and_half_of_what_is_equal(value: float, rank: float) -> None:
    assert rank_among(value, np.array([1.0, 2.0, 3.0, 4.0])) == rank
