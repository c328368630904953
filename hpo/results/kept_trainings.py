"""Bounds the disk space of a study's trainings: `--keep-gb`.

A trial has its best epoch in its own folder. Its training is read again only by an interrupted trial that resumes, and
by a later trial that differs in score or post-processing alone. So trainings of unfinished trials are kept, and others
are dropped, the least useful first, until the rest fits. A dropped training is trained again when a trial asks for it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from optuna.trial import FrozenTrial

from core.experiment import TRAININGS_DIRECTORY
from core.model.training_cleanup import drop_training, training_bytes
from hpo.search.data_by_rate import Datasets
from hpo.search.study import OpenStudy

SINGLE_TRAININGS = f"single/*/{TRAININGS_DIRECTORY}/*"
"""Trainings of `--once` and `--rerun`, which nothing reads again."""


@dataclass(frozen=True, kw_only=True)
class DroppedTrainings:
    """What was dropped at the end of a study."""

    num_trainings: int
    num_bytes: int
    num_bytes_kept: int

    def lines(self, keep_gb: float) -> list[str]:
        """One line for people; none where nothing was dropped."""
        if not self.num_trainings:
            return []
        dropped, kept = (f"{size / 1e6:,.1f} MB" for size in (self.num_bytes, self.num_bytes_kept))
        trainings = "1 training" if self.num_trainings == 1 else f"{self.num_trainings} trainings"
        return [
            f"Dropped {trainings} ({dropped}) that no unfinished trial needs; {kept} are left (--keep-gb {keep_gb:g}). "
            "A trial that asks for one trains it again."
        ]


@dataclass(frozen=True, kw_only=True)
class _Use:
    """The trials that have a training in common."""

    is_unfinished: bool = False
    num_trials: int = 0
    best_f1: float = float("-inf")

    def with_trial(self, trial: FrozenTrial) -> "_Use":
        return _Use(
            is_unfinished=self.is_unfinished or not trial.state.is_finished(),
            num_trials=self.num_trials + 1,
            best_f1=max(self.best_f1, trial.value if trial.value is not None else float("-inf")),
        )


def limit_trainings(searches: Sequence[OpenStudy], datasets: Datasets, *, keep_gb: float) -> DroppedTrainings:
    """Drops trainings until those that are left take at most `keep_gb`, or belong to unfinished trials.

    `searches` are the search and its companion, which share one folder of trainings.
    """
    search = searches[0]
    with search.storage.lock():  # no trial is handed out meanwhile
        uses = _uses(searches, datasets)
        folders = [*search.trainings_directory.glob("*"), *search.directory.glob(SINGLE_TRAININGS)]
        sizes = {folder: training_bytes(folder) for folder in folders if folder.is_dir()}
        kept, dropped = sum(sizes.values()), []
        for folder in sorted(filter(sizes.get, sizes), key=lambda folder: _usefulness(folder, search, uses)):
            if kept <= keep_gb * 1e9:
                break
            if not uses.get(folder.name, _Use()).is_unfinished and drop_training(folder):
                kept -= sizes[folder]
                dropped.append(sizes[folder])
    return DroppedTrainings(num_trainings=len(dropped), num_bytes=sum(dropped), num_bytes_kept=kept)


def training_key(search: OpenStudy, trial: FrozenTrial, datasets: Datasets) -> str | None:
    """The name of a trial's training; None where the trial does not have all of its parameters yet."""
    if not search.space.distributions.keys() <= trial.params.keys():
        return None
    config = search.configuration_of(trial)  # type: ignore[arg-type]
    context_samples = search.space.context_samples(config.front_end.sample_rate_hz)
    setup = config.training_setup(datasets.num_channels, context_samples)
    return setup.key(datasets.default.config, seed=search.training_seed_of(trial))


def _uses(searches: Sequence[OpenStudy], datasets: Datasets) -> dict[str, _Use]:
    uses: dict[str, _Use] = {}
    for search in searches:
        for trial in search.study.get_trials(deepcopy=False):
            key = training_key(search, trial, datasets)
            if key is not None:
                uses[key] = uses.get(key, _Use()).with_trial(trial)
    return uses


def _usefulness(folder: Path, search: OpenStudy, uses: dict[str, _Use]) -> tuple[bool, int, float, float]:
    """Least first: single experiments, then trainings of few trials, of a low validation F1, and old ones."""
    is_of_study = folder.parent == search.trainings_directory
    use = uses.get(folder.name, _Use())
    return is_of_study, use.num_trials, use.best_f1, folder.stat().st_mtime
