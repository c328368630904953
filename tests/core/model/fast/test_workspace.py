"""A workspace gives the same memory for a name again, and other memory for another kind of tensor."""

import torch

from core.model.fast.workspace import MAX_OBJECTS, Workspace, workspace


def test_memory_is_used_again_while_it_is_large_enough() -> None:
    space, like = Workspace(), torch.zeros(())
    first = space.take("x", 4, 5, like=like)
    assert first.shape == (4, 5)
    assert space.take("x", 2, 3, like=like).data_ptr() == first.data_ptr()
    assert space.take("y", 2, 3, like=like).data_ptr() != first.data_ptr()
    assert space.take("x", 6, 5, like=like).shape == (6, 5)


def test_another_dtype_and_inference_mode_have_memory_of_their_own() -> None:
    space, like = Workspace(), torch.zeros(())
    with torch.inference_mode():
        assert space.take("x", 3, like=like).is_inference()
    assert not space.take("x", 3, like=like).is_inference()
    assert space.take("x", 3, like=like.double()).dtype == torch.float64


def test_the_objects_that_were_used_last_are_kept() -> None:
    space, like, made = Workspace(), torch.zeros(()), list[int]()

    def keep(number: int) -> int:
        return space.keep(lambda: made.append(number) or number, name=number, like=like)  # type: ignore[func-returns-value]

    numbers = list(range(MAX_OBJECTS))
    assert [keep(number) for number in (*numbers, 0, 0, MAX_OBJECTS, 0, 1)] == [*numbers, 0, 0, MAX_OBJECTS, 0, 1]
    assert made == [*numbers, MAX_OBJECTS, 1]


def test_a_thread_has_one_workspace() -> None:
    assert workspace() is workspace()
