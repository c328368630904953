"""A trial of which a process died between two parameters gets the others as if nothing had happened."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import optuna
import pytest
from optuna.trial import TrialState

from core.experiment import ExperimentConfig
from hpo.search.parameters import suggest
from hpo.search.search_space import SearchSpace
from hpo.search.storage import StudyStorage
from hpo.search.study import OpenStudy, open_study
from hpo.search.study_file import load_study_file
from hpo.search.study_spec import StudySpec
from hpo.search.study_tables import PrunerConfig, SamplerConfig

ROOT = Path(__file__).resolve().parents[3]
STARTUP = 4
SAMPLERS: tuple[Literal["tpe", "gp", "random"], ...] = ("tpe", "gp", "random")


def opened(spec: StudySpec, folder: Path) -> OpenStudy:
    storage = StudyStorage(str(folder / "optuna.journal"))
    return open_study("tiny", spec, data_fingerprint="f00", storage=storage, directory=folder / "tiny")


class Died(BaseException):
    """In place of a process."""


@dataclass(frozen=True, kw_only=True)
class Dying(SearchSpace):
    """A space whose process dies after so many parameters of a trial."""

    count: int

    def suggest(self, trial: optuna.Trial) -> ExperimentConfig:
        for name, distribution in list(self.distributions.items())[: self.count]:
            suggest(trial, name, distribution)
        raise Died


def proposals(spec: StudySpec, folder: Path, *, dies_after: int | None) -> list[dict[str, object]]:
    """Of a study whose process dies in each trial after so many parameters; none where it is None."""
    for number in range(2 * STARTUP):
        search = opened(spec, folder)
        if dies_after is not None:
            dying = Dying(**vars(search.space), count=dies_after)
            with pytest.raises(Died):
                replace(search, space=dying).claim_trial(number + 1)
            half = search.study.get_trials()[number]
            assert (half.state, len(half.params)) == (TrialState.RUNNING, dies_after)
        claim = opened(spec, folder).claim_trial(number + 1)
        assert claim
        trial, lease = claim
        search.space.suggest(trial)
        trial.report(float(number % 3), step=1)
        search.tell(trial, float(number % 3), TrialState.COMPLETE)
        lease.release()
    return [trial.params for trial in opened(spec, folder).study.get_trials()]


@pytest.mark.parametrize("dies_after", [0, 1, 5])
@pytest.mark.parametrize("pruner", ["none", "hyperband"])
@pytest.mark.parametrize("kind", SAMPLERS)
def test_its_other_parameters_are_those_of_an_uninterrupted_study(
    tmp_path: Path, kind: Literal["tpe", "gp", "random"], pruner: Literal["none", "hyperband"], dies_after: int
) -> None:
    spec = replace(
        load_study_file(ROOT / "tests/data/tiny.toml"),
        sampler=SamplerConfig(kind=kind, startup_trials=STARTUP, lag=1),
        pruner=PrunerConfig(kind=pruner),
    )
    whole = proposals(spec, tmp_path / "whole", dies_after=None)
    assert proposals(spec, tmp_path / "killed", dies_after=dies_after) == whole
