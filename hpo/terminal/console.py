"""The output of the command: lines, the names of long steps, and the answer to Ctrl-C.

In a terminal a long step is a spinner with the time that it has taken. Without one it is a plain line.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console as RichConsole
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn


class Console:
    """The standard output of the command. `say` may be called from any thread, also while bars are shown."""

    def __init__(self, rich: RichConsole | None = None, *, says_steps: bool = True) -> None:
        """With `says_steps` false, long steps are not printed, because another process prints them."""
        self.rich = rich or RichConsole(highlight=False, soft_wrap=True)
        self._says_steps = says_steps
        self._stops_after = "this step"

    @property
    def is_terminal(self) -> bool:
        """Whether bars and spinners can be drawn."""
        return self.rich.is_terminal

    def say(self, *lines: str) -> None:
        for line in lines:
            self.rich.print(line, markup=False)

    @contextmanager
    def step(self, text: str, *, is_said: bool = True) -> Iterator[Callable[[str], None]]:
        """Says what the command does while it takes long. Gives a function that says what it does next.

        Without a terminal a step with `is_said` false says nothing: it is long in rare cases only.
        """
        if not self._says_steps:
            yield lambda _: None
            return
        if not self.is_terminal:
            if is_said:
                self.say(f"{text} ...")
            yield lambda next_text: self.say(f"{next_text} ...")
            return
        columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
        with Progress(*columns, console=self.rich, transient=True) as spinner:
            task = spinner.add_task(f"{text} ...", total=None)
            yield lambda next_text: spinner.update(task, description=f"{next_text} ...")

    @contextmanager
    def stopping_after(self, what: str) -> Iterator[None]:
        """While it is entered, Ctrl-C prints that the command stops after `what`."""
        before, self._stops_after = self._stops_after, what
        try:
            yield
        finally:
            self._stops_after = before

    def say_stopping(self) -> None:
        self.say(f"Stopping after {self._stops_after}; press Ctrl-C again to end at once.")
