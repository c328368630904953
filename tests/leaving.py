"""For tests of what is left between two batches."""


class Leave:
    """Raises an error after so many batches."""

    def __init__(self, num_batches: int, error: type[BaseException] = KeyboardInterrupt) -> None:
        self._left, self._error = num_batches, error

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, *_: object) -> None:
        self._left -= 1
        if kind is None and self._left == 0:
            raise self._error
