"""The tables of a study file that concern its data, which a survey reads without hpo/."""

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, ClassVar, get_args

from pydantic import TypeAdapter, ValidationError

from core.assignments import with_assignments
from core.data.clips import ClipConfig
from core.data.data_config import DataConfig
from core.data.faults.injection import FaultsConfig
from core.data.recordings import Corpus, StreamedCorpus
from core.data.settling import lowest_rate_hz, settle_calibration, settle_speeds
from core.data.speed_perturbation import SpeedConfig
from core.data.splicing import SpliceConfig
from core.data.splits import SplitConfig
from core.errors import UserError
from core.model.frontend import FrontEndConfig

PARAMETERS = {"sample_rate_hz": ("front_end", "sample_rate_hz")}
"""Of those that a study can search, what concerns its data."""


@dataclass(frozen=True, kw_only=True)
class StudyTables:
    """The tables of a study file that concern its data, with the defaults of study files."""

    __pydantic_config__: ClassVar[dict[str, object]] = {"extra": "forbid", "strict": True, "allow_inf_nan": False}

    data: dict[str, Any] = field(default_factory=lambda: {"source": "simulated"})
    split: SplitConfig = field(default_factory=SplitConfig)
    clips: ClipConfig = field(default_factory=ClipConfig)
    splice: SpliceConfig | None = None
    faults: FaultsConfig | None = None
    speed_perturbation: SpeedConfig | None = None
    front_end: FrontEndConfig = field(default_factory=FrontEndConfig)
    space: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def highest_rate_hz(self) -> int:
        """The highest sample rate that the study uses."""
        searched = self.space.get("sample_rate_hz", {})
        rates = [int(rate) for rate in searched.get("choices", ())]
        if "high" in searched:
            low, high, step = (int(searched.get(key, 1)) for key in ("low", "high", "step"))
            rates = [high - (high - low) % step]
        return max([self.front_end.read_rate_hz, *rates])

    def settled(self, corpus: Corpus | StreamedCorpus) -> "StudyTables":
        """With what the file leaves to the corpus."""
        return replace(
            self,
            front_end=self.front_end.settled(lowest_rate_hz(corpus, clip_seconds=self.clips.clip_seconds)),
            split=settle_calibration(self.split, corpus, clip_seconds=self.clips.clip_seconds),
            speed_perturbation=settle_speeds(self.speed_perturbation, corpus),
        )

    def data_config(self, *, skip_bad_files: bool) -> DataConfig:
        return DataConfig(
            sample_rate_hz=self.front_end.read_rate_hz,
            clips=self.clips,
            split=self.split,
            skip_bad_files=skip_bad_files,
            splice=self.splice,
            faults=self.faults,
            speed_perturbation=self.speed_perturbation,
        )


def read_study_tables(path: Path, assignments: Sequence[str] = ()) -> StudyTables:
    """The tables of StudyTables, with the assignments of --set (core/assignments.py); other tables are ignored.

    UserError names the file, the key and the rule.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UserError(f"The study file must be a TOML file, but {path} cannot be read: {error}.") from error
    known, tables_to_leave_out = _dotted_keys(), _tables_to_leave_out()
    table = with_assignments(
        table, assignments, known, tables=tables_to_leave_out, parameters=PARAMETERS, what="a key that a survey reads"
    )
    tables = {each.name: table[each.name] for each in fields(StudyTables) if each.name in table}
    try:
        # Through JSON, because in strict mode pydantic reads a table as a dataclass only from JSON.
        return TypeAdapter(StudyTables).validate_json(json.dumps(tables, default=str))
    except ValidationError as error:
        problem = error.errors()[0]
        where = " with ".join([str(path), *(f"--set {text}" for text in assignments)])
        raise UserError(f"{where}: {_rule_broken(problem)}") from error


def _rule_broken(problem: Mapping[str, Any]) -> str:
    where = ".".join(str(part) for part in problem["loc"])
    if "error" in problem.get("ctx", {}):
        return str(problem["ctx"]["error"])
    if problem["type"] == "unexpected_keyword_argument":
        return f"{where} must be a known key, but is not. Known here: {', '.join(_known_keys(str(problem['loc'][0])))}."
    return f"{where} must {problem['msg'].removeprefix('Input should ')}, but got {problem['input']!r}."


def _dotted_keys() -> list[str]:
    """Every key of these tables that a study file may have, with its table in front."""
    from core.sources import KINDS, known_options  # here, because --help should not wait for their libraries

    of_sources = ["source", *(name for kind in KINDS for name in known_options(kind))]
    tables = [each.name for each in fields(StudyTables) if each.name not in ("data", "space")]
    return [f"data.{name}" for name in of_sources] + [f"{each}.{name}" for each in tables for name in _known_keys(each)]


def _tables_to_leave_out() -> list[str]:
    return [each.name for each in fields(StudyTables) if type(None) in get_args(each.type)]


def _known_keys(table: str) -> list[str]:
    kind: Any = {each.name: each.type for each in fields(StudyTables)}[table]
    return [each.name for each in fields(next(iter(get_args(kind)), kind))]  # of `X | None`, X
