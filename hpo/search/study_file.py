"""Reads studies/*.toml into a checked StudySpec (hpo/search/study_spec.py). Every error is one line, before trial 0. An
unknown key is an error that lists the known ones.
"""

import json
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, get_args

from pydantic import TypeAdapter, ValidationError

from core.assignments import with_assignments
from core.decision.change_points import SHORTEST_MS
from core.errors import UserError
from core.sources import KINDS, known_options
from hpo.search.parameters import PARAMETERS
from hpo.search.search_space import SearchSpace
from hpo.search.study_spec import StudySpec, first_problem


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
        raise UserError(f"{where}: {first_problem(error.errors()[0])}") from error
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
