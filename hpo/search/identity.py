"""What a study remembers of its settings and its data, so that all of its trials can be compared."""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from core.decision.change_points import FORMAT as CHANGE_POINTS_FORMAT
from core.decision.normal_sound import FORMAT as NORMAL_SOUND_FORMAT
from core.errors import UserError
from core.model.scored_training import format_of
from hpo.search.parameters import PARAMETERS
from hpo.search.study_spec import FIRST_OBJECTIVE, LATER_OPTIONS, StudySpec

IDENTITY = "identity"
"""User attribute of the study: its search and its data."""
TRAININGS = "trainings"
"""In the identity: the format of its trials. It is missing in a study that was made before it was kept."""
DATA_FINGERPRINT = "data_fingerprint"
"""In the identity: that of the recordings."""
PROMISED = "space.threshold_sigmas"
OF_PROMISES = (
    " A promise about false alarms ([threshold]) takes threshold_sigmas out of the space: where the study has one, "
    "give that promise and nothing else; where it has none, leave it out."
)
"""Said where PROMISED is searched in one of the two, which may be because of a promise."""
FOLD_INFIX = ".fold"
"""Before the number of a fold, at the end of the name of its study."""


def identity_of(spec: StudySpec, *, data_fingerprint: str) -> dict[str, Any]:
    """As JSON has it."""
    more = {DATA_FINGERPRINT: data_fingerprint, TRAININGS: trial_format(spec)}
    identity: dict[str, Any] = json.loads(json.dumps(spec.identity() | more))
    return identity


def trial_format(spec: StudySpec) -> str:
    """What trials must have in common to be compared: how they train, and how their statistics are judged."""
    parts = [format_of(keeps_statistics=spec.keeps_statistics)]
    if spec.keeps_statistics:
        parts.append(f"normal sound {NORMAL_SOUND_FORMAT}")
    if spec.seeks_changes:
        parts.append(f"change points {CHANGE_POINTS_FORMAT}")
    return " and ".join(parts)


def check_identity(name: str, was: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """UserError where another version made the study, or it was made with other settings or data."""
    check_trial_format(name, was, now)
    before, after = _with_usual(was), _with_usual(now)
    changed = sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))
    if changed:
        key = min(changed, key=_nearness_to_the_cause)
        is_fold = re.search(rf"{re.escape(FOLD_INFIX)}\d+$", name) is not None
        kept = _arguments_that_keep(was, before, changed, is_fold=is_fold)
        keep = f"Keep it with {' '.join(kept)}, give" if kept else "Give"
        raise UserError(
            f"Study {name!r} must keep the space and the data it was made with, but {key} was {before.get(key)!r} "
            f"and is {after.get(key)!r}. {keep} the new search another --name, or archive the old one with --fresh."
            f"{OF_PROMISES if any(key.startswith(PROMISED) for key in changed) else ''}"
        )


def _with_usual(identity: Mapping[str, Any]) -> dict[str, Any]:
    """Values by dotted key. What an identity leaves out has its usual value."""
    usual: dict[str, Any] = {".".join(option): before for option, before in LATER_OPTIONS.items()}
    return usual | {"objective": FIRST_OBJECTIVE} | flat(identity)


def _nearness_to_the_cause(key: str) -> int:
    """Which change is named: an option of the source changes the recordings, and other recordings what a study file
    leaves to them."""
    return 0 if key.startswith("data_options.") else 1 if key == DATA_FINGERPRINT else 2


def _arguments_that_keep(
    was: Mapping[str, Any], before: Mapping[str, Any], changed: Iterable[str], *, is_fold: bool
) -> list[str]:
    """The arguments for the settings that the study was made with; nothing where that cannot be said."""
    kept: dict[str, Any] = {}
    for key in changed:
        section, _, parameter = key.partition(".")
        if section == "space":  # is searched now, and was fixed where its default is
            parameter = parameter.partition(".")[0]
            if parameter in was["space"]:
                return []
            key = ".".join(PARAMETERS[parameter])
        kept[key] = before.get(key)
        if not isinstance(kept[key], (bool, int, float, str)) or section in (DATA_FINGERPRINT, "data_options"):
            return []
    return [
        f"--folds {value}"  # which wins over --set
        if key == "split.folds" and is_fold
        else f"--set {key}={value if isinstance(value, str) else json.dumps(value)}"
        for key, value in kept.items()
    ]


def check_trial_format(name: str, was: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """UserError where another version made the study, and its trials cannot be compared with new ones."""
    if was.get(TRAININGS) != now[TRAININGS]:
        raise UserError(
            f"Study {name!r} must have trials of format {now[TRAININGS]}, but another version of this program made "
            f"it with {was.get(TRAININGS, 'an older one')}, whose trials cannot be compared with new ones. Archive it "
            "and start again with --fresh, or give the new search another --name."
        )


def value_at(identity: Mapping[str, Any], key: str) -> Any:
    """The value or the table of a dotted key of the study file; None where the identity has none."""
    table, _, name = key.rpartition(".")
    section = identity.get("data_options" if table == "data" else table) if table else identity
    return section.get(name) if isinstance(section, Mapping) else None


def flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Values by dotted key."""
    rows: dict[str, Any] = {}
    for key, value in table.items():
        rows |= flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return rows
