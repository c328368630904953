"""A study: its goal, its data, its settings, its space. Each table is a dataclass beside the code that owns it."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal, get_args

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from core.data.clips import ClipConfig
from core.data.faults.injection import FaultsConfig
from core.data.noise import NoiseConfig
from core.data.recordings import Corpus, StreamedCorpus
from core.data.settling import lowest_rate_hz, settle_calibration, settle_speeds, will_inject_faults
from core.data.speed_perturbation import SpeedConfig
from core.data.splicing import SpliceConfig
from core.data.splits import SplitConfig
from core.decision.false_alarms import ThresholdConfig
from core.decision.postprocess import PostprocessingConfig
from core.errors import UserError
from core.experiment import ExperimentConfig, NetworkConfig
from core.model.frontend import FrontEndConfig
from core.model.scoring import INNOVATIONS, ScoringConfig
from core.model.training_config import TrainingConfig
from hpo.search.parameters import UNJUDGED_BY_INJECTED_FAULTS
from hpo.search.post_space import PostConfig
from hpo.search.search_space import SearchSpace
from hpo.search.study_tables import CompareConfig, FinalistsConfig, LimitsConfig, PrunerConfig, SamplerConfig

OBJECTIVES = {"balanced_f1": "balanced F1", "expected_f1": "expected F1", "f1": "F1"}
"""What a study can maximise, with its name in texts. Each is a figure of validation, `val_...` in a trial's epochs."""
FIRST_OBJECTIVE = "f1"
"""The objective of studies that were made before it could be chosen."""
LATER_OPTIONS = {
    ("network", "precision"): "float32",
    ("training", "weight_decay"): 0,
    ("postprocessing", "hysteresis_sigmas"): 0,
    ("sampler", "lag"): 0,
}
"""What an identity lacks where it has this value, as those of studies that were made before there was a choice."""


@dataclass(frozen=True, kw_only=True)
class StudySpec:
    """A study file, checked."""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    goal: str
    """The question of the study, in a sentence. It is shown with the study."""
    trials: int = 50
    """The total number of trials, unless --trials replaces it."""
    workers: int = 1
    """Processes at once, limited by the machine's cores and by `sampler.lag`."""
    objective: Literal["balanced_f1", "expected_f1", "f1"] = "expected_f1"
    """What is maximised, on validation clips at the trial's own window and threshold. `expected_f1`: F1 where a clip
    near the threshold counts in part, because its score could as well be a little higher or lower. `balanced_f1`: the
    same as if there were at least as many normal clips as anomalous ones. `f1`: plain F1."""
    seed: int = 1
    """A proposal's randomness comes from it and the trial's number, a training's from it and the training's setup."""
    data: dict[str, Any] = field(default_factory=lambda: {"source": "simulated"})
    """`source` as `--data` takes it, and the options of that source."""
    split: SplitConfig = field(default_factory=SplitConfig)
    clips: ClipConfig = field(default_factory=ClipConfig)
    noise: NoiseConfig | None = None
    """Noise that is added to every take; optional."""
    splice: SpliceConfig | None = None
    """Faults that are spliced into normal clips of validation and test; optional."""
    faults: FaultsConfig | None = None
    """Which faults are injected where there is no anomalous recording; optional, all of them by default."""
    speed_perturbation: SpeedConfig | None = None
    """Other speeds of the training takes; optional."""
    front_end: FrontEndConfig = field(default_factory=FrontEndConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    scoring: ScoringConfig = field(default_factory=ScoringConfig)
    postprocessing: PostprocessingConfig = field(default_factory=PostprocessingConfig)
    threshold: ThresholdConfig | None = None
    """A promise about false alarms, which sets the winner's threshold after the choice; optional."""
    limits: LimitsConfig = field(default_factory=LimitsConfig)
    sampler: SamplerConfig = field(default_factory=SamplerConfig)
    pruner: PrunerConfig = field(default_factory=PrunerConfig)
    post: PostConfig = field(default_factory=PostConfig)
    compare: CompareConfig = field(default_factory=CompareConfig)
    finalists: FinalistsConfig = field(default_factory=FinalistsConfig)
    space: dict[str, dict[str, Any]]
    """The searched parameters, each with its range."""

    def __post_init__(self) -> None:
        if self.trials < 1:
            raise UserError(f"trials must be at least 1, but got {self.trials}.")
        if self.workers < 1:
            raise UserError(f"workers must be at least 1, but got {self.workers}.")
        if self.seed < 0:
            raise UserError(f"seed must be 0 or more, but got {self.seed}.")

    @property
    def default_experiment(self) -> ExperimentConfig:
        """The configuration of the tables: trial 0."""
        return ExperimentConfig(
            front_end=self.front_end,
            network=self.network,
            training=self.training,
            scoring=self.scoring,
            postprocessing=self.postprocessing,
        )

    @property
    def search_space(self) -> SearchSpace:
        return SearchSpace.parse(self.space, self.default_experiment)

    @property
    def keeps_statistics(self) -> bool:
        """Whether a trial can have the score `innovations`."""
        return INNOVATIONS in {self.scoring.score, *self.space.get("score", {}).get("choices", ())}

    @property
    def seeks_changes(self) -> bool:
        """Whether a trial can compare the innovations of a clip with the clip itself."""
        baselines = {self.postprocessing.baseline, *self.space.get("baseline", {}).get("choices", ())}
        return self.keeps_statistics and baselines != {"machine"}

    def settled(self, corpus: Corpus | StreamedCorpus) -> "StudySpec":
        """With what the file leaves to the corpus."""
        injects_faults = self.faults is not None or will_inject_faults(corpus)
        return replace(
            self,
            front_end=self.front_end.settled(lowest_rate_hz(corpus, clip_seconds=self.clips.clip_seconds)),
            split=settle_calibration(self.split, corpus, clip_seconds=self.clips.clip_seconds),
            speed_perturbation=settle_speeds(self.speed_perturbation, corpus),
            space=self._space_of_injected_faults() if injects_faults else self.space,
        )

    def _space_of_injected_faults(self) -> dict[str, dict[str, Any]]:
        """The space in which what those cannot judge has its default alone."""
        default = self.search_space.default_parameters
        kept = {name: {"choices": [default[name]]} for name in UNJUDGED_BY_INJECTED_FAULTS if name in self.space}
        return self.space | kept

    def identity(self) -> dict[str, Any]:
        """What two equal searches have in common: everything except the goal, the number of trials, the source's name,
        and what follows the trials."""
        rows = asdict(self)
        for key in ("goal", "trials", "workers", "finalists", "data", "post", "compare", "threshold"):
            del rows[key]
        if self.faults is None:  # as in studies that were made before there was such a table
            del rows["faults"]
        if self.front_end.decimation == 1:  # likewise
            del rows["front_end"]["spectrum_rate_hz"]
        for (section, key), before in LATER_OPTIONS.items():  # likewise
            if rows[section][key] == before:
                del rows[section][key]
        rows["data_options"] = {key: value for key, value in self.data.items() if key != "source"}
        rows["speed_perturbation"] = self.speed_perturbation and self.speed_perturbation.identity()
        return rows

    def with_identity(self, identity: Mapping[str, Any]) -> "StudySpec":
        """With the settings that a study was made with; what its identity does not have stays as it is here."""
        rows, was = asdict(self), {"objective": FIRST_OBJECTIVE, "faults": None, **identity}
        data = {"source": self.data["source"], **identity.get("data_options", {})}
        table = rows | {key: was[key] for key in rows if key in was} | {"data": data}
        for (section, key), before in LATER_OPTIONS.items():
            table[section] = {key: before} | table[section]
        try:
            return TypeAdapter(StudySpec).validate_json(json.dumps(table, default=str))
        except ValidationError as error:
            raise UserError(
                f"The study's settings must be known to this version, but {first_problem(error.errors()[0])} Take "
                "the version that made the study."
            ) from error


def first_problem(problem: ErrorDetails) -> str:
    """What pydantic says is wrong with a study file, in a sentence."""
    where = ".".join(str(part) for part in problem["loc"])
    if "error" in problem.get("ctx", {}):
        return str(problem["ctx"]["error"])
    if problem["type"] == "unexpected_keyword_argument":
        return f"{where} must be a known key, but is not. Known here: {', '.join(_known_keys(problem['loc']))}."
    if problem["type"] in ("missing", "missing_keyword_only_argument"):
        return f"{where} must be given, but is missing."
    rule = problem["msg"].removeprefix("Input should ").replace("an object", "a table")
    return f"{where} must {rule}, but got {problem['input']!r}."


def _known_keys(location: tuple[int | str, ...]) -> list[str]:
    kind: Any = StudySpec
    for part in location[:-1]:
        kind = {f.name: f.type for f in fields(kind)}[str(part)]
        kind = next(iter(get_args(kind)), kind)  # of a table that may be missing: X | None
    return [f.name for f in fields(kind)]
