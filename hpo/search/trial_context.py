"""What the trials of a process share beside the study, and how a trial ended."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from optuna.trial import TrialState

from core.experiment import EpochResult
from core.thread_pool import ThreadPool
from hpo.search.data_by_rate import Datasets
from hpo.search.stopping import Stops


class Progress(Protocol):
    """Shows the progress of trials."""

    def epoch(self, number: int, result: EpochResult) -> None:
        """Called when an epoch of trial `number` has been logged and reported."""


@dataclass(frozen=True, kw_only=True)
class TrialContext:
    """What all trials of a process share beside the study."""

    datasets: Datasets
    device: torch.device
    pool: ThreadPool
    tags: Mapping[str, str]
    """On every run: git commit, data fingerprint, device, threads."""
    progress: Progress
    say: Callable[[str], None]
    """Prints a line for people."""
    stops: Stops = field(default_factory=Stops)
    """What ends a training between two batches."""
    keep_going: bool = False
    """Whether an unexpected error ends the trial alone, which fails."""


@dataclass(frozen=True, kw_only=True)
class TrialEnd:
    """How a trial ended."""

    number: int
    name: str
    state: TrialState
    facts: Mapping[str, Any]
    """Of the network and of the best epoch; empty for a trial that failed."""
    objective: float | None = None
    """What the study maximises, on validation at the best epoch; None for a trial that failed."""
    failure: str | None = None
    """Why the trial failed."""
    stopped: str | None = None
    """Why it was pruned, where the pruner did not decide that."""
