import numpy as np
import pytest

from benchmarks.microphones import of_microphone
from core.model.frame_statistics import num_statistics, statistic_groups


@pytest.mark.parametrize("microphone", [0, 2])
def test_one_microphone_of_several_has_the_statistics_that_a_network_of_one_has(microphone: int) -> None:
    of_three = statistic_groups(3)
    vectors = np.random.default_rng(0).normal(size=(4, 3, 5, num_statistics(3))).astype(np.float16)
    splits = dict.fromkeys(("calibration", "validation", "test"), vectors)

    (found, *others) = of_microphone(splits, microphone).values()

    assert all(np.array_equal(found, other) for other in others)
    for name, place in statistic_groups(1).items():
        width = place.stop - place.start  # without the product with the other microphones, the last of whiteness
        kept = vectors[:, [microphone], :, of_three[name]][..., :width]
        assert np.array_equal(found[..., place], kept), name
    assert found.shape[-1] == num_statistics(1)
