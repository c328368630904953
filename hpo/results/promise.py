"""The winner's threshold by a promise about false alarms, and what happened on test beside it.

The threshold is set after the choice. Test clips do not set it; they show whether the promise is kept.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from core.decision.false_alarms import PromisedThreshold, ThresholdConfig, promised_threshold
from core.decision.healthy_scores import HealthyScores
from hpo.results.healthy_takes import healthy_scores, takes_that_chose
from hpo.results.judged_trial import JudgedTrial
from hpo.results.winner import Finalist
from hpo.search.study import OpenStudy


@dataclass(frozen=True, kw_only=True)
class SetThreshold:
    """A trial's threshold, and the healthy sound that it comes from."""

    healthy: HealthyScores
    asked: ThresholdConfig | None
    """None where the study's own threshold stays."""
    promised: PromisedThreshold | None
    """None also where too little healthy sound is left for an estimate."""
    own_threshold_sigmas: float

    @property
    def threshold_sigmas(self) -> float:
        return self.promised.threshold_sigmas if self.promised else self.own_threshold_sigmas

    def facts(self) -> dict[str, Any]:
        """For the winner or the default in result.json."""
        return {"threshold_sigmas": self.threshold_sigmas, "healthy": asdict(self.healthy)}


def set_winners_threshold(
    trial: JudgedTrial, search: OpenStudy, finalists: Sequence[Finalist], winner: Finalist
) -> SetThreshold:
    """From healthy sound that did not choose the winner. `trial` is the training whose file is handed over."""
    return _set_threshold(trial, search, chose=takes_that_chose(search, finalists, winner))


def set_defaults_threshold(trial: JudgedTrial, search: OpenStudy) -> SetThreshold:
    """Nothing chose the default configuration, so all healthy sound of calibration and validation can set it."""
    return _set_threshold(trial, search, chose=set())


def _set_threshold(trial: JudgedTrial, search: OpenStudy, *, chose: set[str]) -> SetThreshold:
    are_whole = search.spec.split.calibration == "takes"
    healthy = healthy_scores(trial, chose=chose, are_calibration_takes_whole=are_whole)
    asked = search.spec.threshold
    return SetThreshold(
        healthy=healthy,
        asked=asked,
        promised=promised_threshold(healthy, asked) if asked else None,
        own_threshold_sigmas=trial.threshold,
    )


def promise_of(threshold: SetThreshold, test: Mapping[str, Any]) -> dict[str, Any] | None:
    """`promise` of result.json: what was promised, and what happened on test. None where nothing was asked.

    `test` are the winner's test figures in result.json, at this threshold.
    """
    if threshold.asked is None:
        return None
    healthy, promised = threshold.healthy, threshold.promised
    return {
        "asked": threshold.asked.words,
        "threshold_sigmas": threshold.threshold_sigmas,
        "own_threshold_sigmas": threshold.own_threshold_sigmas,
        "is_other_threshold": threshold.threshold_sigmas != threshold.own_threshold_sigmas,
        "is_promise": promised is not None and promised.is_promise,
        "rule": promised.rule if promised else None,
        "sentence": promised.sentence if promised else _no_sound(threshold),
        "num_takes": healthy.num_takes,
        "num_clips": healthy.num_clips,
        "hours": healthy.hours,
        "test": outcome_sentence(test, healthy.seconds_a_clip)
        + (_excess(test, threshold.asked.rate(healthy.seconds_a_clip)) if promised else ""),
    }


def has_other_threshold(result: Mapping[str, Any]) -> bool:
    """Whether the winner of result.json has another threshold than its trial, because a promise has set it."""
    promise = result.get("promise")
    return promise is not None and bool(promise["is_other_threshold"])


def _no_sound(threshold: SetThreshold) -> str:
    return (
        f"No promise and no estimate: {threshold.healthy.num_clips} healthy clips that neither trained nor chose the "
        f"winner are too few, so the threshold stays at {threshold.own_threshold_sigmas:g} sigmas."
    )


def outcome_sentence(test: Mapping[str, Any], seconds_a_clip: float) -> str:
    """What happened on test, as a share of the clips and an hour."""
    if not test or not test["recordings"]["normal"]["num_recordings"]:
        return "The test has no healthy clips."
    share, (low, high) = test["false_alarms"], test["false_alarms_interval"]
    clips_an_hour = 3600 / seconds_a_clip
    return (
        f"On test {100 * share:.3g} % of the healthy clips raised a false alarm (95 % interval {100 * low:.3g} to "
        f"{100 * high:.3g} % over {test['recordings']['normal']['num_recordings']} recordings), which is "
        f"{_rate(share * clips_an_hour)} an hour ({_rate(low * clips_an_hour)} to {_rate(high * clips_an_hour)})."
    )


def _excess(test: Mapping[str, Any], promised: float) -> str:
    """A remark where test has more false alarms than chance explains."""
    if not test or not test["false_alarms_interval"][0] > promised:
        return ""
    return (
        " That is more than was asked for, by more than chance explains: the healthy recordings of test differ from "
        "those that set the threshold. More of them, recorded as variedly as the machine is used, would set it better."
    )


def _rate(an_hour: float) -> str:
    return f"{an_hour:.3g}" if an_hour < 100 else f"{an_hour:,.0f}"
