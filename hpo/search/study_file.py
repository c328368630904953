"""Reads studies/*.toml into a checked StudySpec. Every error is one line, before trial 0.

A study file states its goal, its data, what is fixed and what is searched. Each table is a dataclass beside the code
that owns it; an unknown key is an error that lists the known ones.
"""

import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from core.assignments import with_assignments
from core.data.clips import ClipConfig
from core.data.faults.injection import FaultsConfig
from core.data.noise import NoiseConfig
from core.data.recordings import Corpus, StreamedCorpus
from core.data.settling import lowest_rate_hz, settle_calibration, settle_speeds, will_inject_faults
from core.data.speed_perturbation import SpeedConfig
from core.data.splicing import SpliceConfig
from core.data.splits import SplitConfig
from core.decision.change_points import SHORTEST_MS
from core.decision.false_alarms import ThresholdConfig
from core.decision.postprocess import PostprocessingConfig
from core.errors import UserError
from core.experiment import ExperimentConfig, NetworkConfig
from core.model.frontend import FrontEndConfig
from core.model.scoring import INNOVATIONS, ScoringConfig
from core.model.training import TrainingConfig
from core.sources import KINDS, known_options
from hpo.search.post_space import PostConfig
from hpo.search.search_space import PARAMETERS, UNJUDGED_BY_INJECTED_FAULTS, SearchSpace
from hpo.search.study_tables import CompareConfig, FinalistsConfig, LimitsConfig, PrunerConfig, SamplerConfig

OBJECTIVES = {"balanced_f1": "balanced F1", "expected_f1": "expected F1", "f1": "F1"}
"""What a study can maximise, with its name in texts. Each is a figure of validation, `val_...` in a trial's epochs."""
FIRST_OBJECTIVE = "f1"
"""The objective of studies that were made before it could be chosen."""


@dataclass(frozen=True, kw_only=True)
class StudySpec:
    """A study file, checked."""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    goal: str
    """The question of the study, in a sentence. It is shown with the study."""
    trials: int = 50
    """The total number of trials, unless --trials replaces it."""
    workers: int = 1
    """Processes at once, limited by the machine's cores. A search repeats exactly with one."""
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
        rows["data_options"] = {key: value for key, value in self.data.items() if key != "source"}
        rows["speed_perturbation"] = self.speed_perturbation and self.speed_perturbation.identity()
        return rows

    def with_identity(self, identity: Mapping[str, Any]) -> "StudySpec":
        """With the settings that a study was made with; what its identity does not have stays as it is here."""
        rows, was = asdict(self), {"objective": FIRST_OBJECTIVE, "faults": None, **identity}
        data = {"source": self.data["source"], **identity.get("data_options", {})}
        table = rows | {key: was[key] for key in rows if key in was} | {"data": data}
        try:
            return TypeAdapter(StudySpec).validate_json(json.dumps(table, default=str))
        except ValidationError as error:
            raise UserError(
                f"The study's settings must be known to this version, but {_first_problem(error.errors()[0])} Take "
                "the version that made the study."
            ) from error


def load_study_file(path: Path, assignments: Sequence[str] = ()) -> StudySpec:
    """Reads a study file, makes the assignments of --set (core/assignments.py), and checks the result.

    UserError names the file, the key, the rule and the value.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(
            f"The study file must exist, but {path} does not. Look into studies/ for those there are."
        ) from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UserError(f"{path} must be a TOML file, but cannot be read: {error}.") from error
    known, tables = _dotted_keys(), _tables_to_leave_out()
    table = with_assignments(table, assignments, known, tables=tables, parameters=PARAMETERS)
    where = " with ".join([str(path), *(f"--set {text}" for text in assignments)])
    try:
        # Through JSON, because strict types take a table for a dataclass only there.
        spec = _with_promise(TypeAdapter(StudySpec).validate_json(json.dumps(table, default=str)))
        spec.search_space.check_box(spec.limits.max_layers, spec.limits.max_weights, num_channels=1)
        _check_lengths(spec)
        _check_rates(spec)
    except ValidationError as error:
        raise UserError(f"{where}: {_first_problem(error.errors()[0])}") from error
    except UserError as error:
        raise UserError(f"{where}: {error}") from error
    return spec


def _with_promise(spec: StudySpec) -> StudySpec:
    """A promise sets the threshold after the choice, so it is not searched. UserError where it is of all clips."""
    if spec.threshold is None:
        return spec
    spec.threshold.rate(spec.clips.clip_seconds)
    SearchSpace.parse(spec.space, spec.default_experiment)  # UserError for a range that is none, though it is left out
    space = {name: each for name, each in spec.space.items() if name != "threshold_sigmas"}
    if not space:
        raise UserError(
            "space must hold another parameter beside threshold_sigmas where [threshold] is given, because the promise "
            "sets the threshold after the choice, but holds none. Add one, or leave out [threshold]."
        )
    return replace(spec, space=space)


def _check_lengths(spec: StudySpec) -> None:
    """A clip must hold the largest receptive field, the shortest event or change, and something to judge."""
    clip_ms = spec.clips.clip_seconds * 1000
    space = spec.search_space
    context_ms = max(1000 * space.context_samples(rate) / rate for rate in space.sample_rates_hz)
    events_ms = [config.postprocessing.min_event_ms for config in space.ends_of("min_event_ms")]
    needed = context_ms + max(2 * spec.scoring.frame_ms, *events_ms)
    if clip_ms < needed:
        raise UserError(
            f"clips.clip_seconds must hold the largest receptive field and the shortest event ({needed / 1000:g} s), "
            f"but got {spec.clips.clip_seconds:g}. Make clips longer or the receptive field shorter."
        )
    changes_ms = context_ms + 2 * SHORTEST_MS + spec.scoring.frame_ms  # the last, because frames are whole
    if spec.seeks_changes and clip_ms < changes_ms:
        raise UserError(
            f"clips.clip_seconds must be at least {changes_ms / 1000:g} where a clip can be compared with itself "
            f"(postprocessing.baseline), but got {spec.clips.clip_seconds:g}. Make clips longer, or set the baseline "
            '"machine".'
        )
    if spec.splice:
        spec.splice.check_room(spec.clips.clip_seconds)
        spec.splice.check_margin(context_ms / 1000)


def _check_rates(spec: StudySpec) -> None:
    """Where several rates are searched, frames must lie at the same times at all of them, and be as many."""
    space, frame_ms = spec.search_space, spec.scoring.frame_ms
    for rate in space.sample_rates_hz:
        replace(spec.front_end, sample_rate_hz=rate)  # UserError where spectrum_rate_hz is no multiple of it
    if len(space.sample_rates_hz) == 1:
        return
    num_frames = set()
    for rate in space.sample_rates_hz:
        frame_samples = spec.scoring.frame_samples(rate)
        if abs(frame_samples - frame_ms * rate / 1000) > 1e-6:
            raise UserError(
                f"space.sample_rate_hz must be of rates at which a frame (scoring.frame_ms {frame_ms:g}) is a whole "
                f"number of samples, but at {rate} Hz it is {frame_ms * rate / 1000:g}. Choose another rate or frame."
            )
        clip_samples = round(spec.clips.clip_seconds * rate)
        num_frames.add((clip_samples - space.context_samples(rate)) // frame_samples)
    if len(num_frames) > 1:
        raise UserError(
            f"Clips must have as many frames at every rate of space.sample_rate_hz, but have {min(num_frames)} or "
            f"{max(num_frames)}. Change the largest receptive_field_ms by a little."
        )


def _first_problem(problem: ErrorDetails) -> str:
    where = ".".join(str(part) for part in problem["loc"])
    if "error" in problem.get("ctx", {}):
        return str(problem["ctx"]["error"])
    if problem["type"] == "unexpected_keyword_argument":
        return f"{where} must be a known key, but is not. Known here: {', '.join(_known_keys(problem['loc']))}."
    if problem["type"] in ("missing", "missing_keyword_only_argument"):
        return f"{where} must be given, but is missing."
    rule = problem["msg"].removeprefix("Input should ").replace("an object", "a table")
    return f"{where} must {rule}, but got {problem['input']!r}."


def _dotted_keys() -> Iterator[str]:
    """Every key that a study file may have, with its table in front."""
    yield "data.source"
    yield from (f"data.{name}" for kind in KINDS for name in known_options(kind))
    yield from (f"space.{name}" for name in PARAMETERS)
    for each in fields(StudySpec):
        kind: Any = next(iter(get_args(each.type)), each.type)  # of a table that may be missing: X | None
        if is_dataclass(kind):
            yield from (f"{each.name}.{inner.name}" for inner in fields(kind))
        elif each.name not in ("data", "space"):
            yield each.name


def _tables_to_leave_out() -> list[str]:
    """Tables that a study may lack."""
    kinds = {each.name: get_args(each.type) for each in fields(StudySpec)}
    return [name for name, kind in kinds.items() if type(None) in kind]


def _known_keys(location: tuple[int | str, ...]) -> list[str]:
    kind: Any = StudySpec
    for part in location[:-1]:
        kind = {f.name: f.type for f in fields(kind)}[str(part)]
        kind = next(iter(get_args(kind)), kind)  # of a table that may be missing: X | None
    return [f.name for f in fields(kind)]
