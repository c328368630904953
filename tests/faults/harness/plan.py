"""The plan of a fault in a real process: where it kills itself, and which constants have other values there.

A plan travels in an environment variable to `injection/sitecustomize.py`, which Python runs at the start of the process
and of every worker that it starts.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

INJECTION = Path(__file__).with_name("injection")
VARIABLE = "MACHINE_LISTENING_FAULTS"
SETTINGS = ("MLFLOW_TRACKING_URI", "OPTUNA_STORAGE")
"""Variables of this machine that no process of a test may see."""
QUICK = {
    "hpo.search.estimate:NUM_CLIPS": 1,
    "hpo.search.estimate:NUM_FRAMES": 4,
    "hpo.pages.publish:NUM_PAGES": 1,
}
"""In every process of a test: a shorter measurement before the study, and fewer pages after it."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """A call of a function at which the process kills itself with SIGKILL."""

    at: str
    """module:function or module:Class.method."""
    when: Literal["before", "within", "after"] = "before"
    call: int = 1
    """The first of the process's calls that may kill it."""
    path: str = ""
    """Only calls count that have this text in one of the first two arguments, or in the path of a file descriptor."""
    flag: str = ""
    """A file that the death leaves: one process dies, the others go past the place. Empty: every process dies there."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is different in a process. By default nothing but QUICK."""

    place: Place | None = None
    constants: Mapping[str, Any] = field(default_factory=dict)
    """module:NAME and its value."""

    @property
    def environment(self) -> dict[str, str]:
        """For the process and its workers: this machine's, without settings of the command."""
        plan = {**asdict(self), "constants": {**QUICK, **self.constants}}
        own = {name: value for name, value in os.environ.items() if name not in SETTINGS}
        return {**own, "PYTHONPATH": str(INJECTION), VARIABLE: json.dumps(plan)}
