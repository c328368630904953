"""Whether the test recordings prove that a winner detects faults, and how much more to record where they do not.

Test figures are computed after the choice and change nothing about it: a winner that could be chance is called
unproven, and its file and its command are handed over all the same. So is a winner that was judged by injected faults
or by parts of takes, however good its figures are.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from core.data.stand_ins import SENTENCES, StandIn
from core.decision.calibration_curve import CalibrationPoint
from core.decision.chance import SIGNIFICANT, ChanceTest, enough_recordings, smallest_p_value
from core.decision.exact_figures import f1_interval, share_interval

TIMES = (1, 2, 4, 8)
"""Multiples of the test recordings in the learning curve."""
MOST_TIMES = 16
"""Up to which is sought how many times the recordings halve the interval of F1."""
WORTH_RECORDING = 0.01
"""A rise of F1 or AUC by which twice the calibration takes are worth their recording."""
ONE_SIDED_SIGMAS = 1.645
"""Of a normal distribution, beyond which SIGNIFICANT lies."""
ADVICE: dict[StandIn, str] = {
    "faults": (
        "To prove it, record a real fault: with two anomalous recordings or more beside the healthy ones a study is "
        "judged by them, and nothing is injected. Begin it with what this one found: --warm-start and its name."
    ),
    "parts": (
        "Record at least 4 takes of each machine, on other days and at other speeds as it is used: from then on whole "
        "takes are judged."
    ),
}
"""What to record in place of what stood in for it."""


def evidence_of(
    winner: Mapping[str, Any] | None, calibration: Sequence[CalibrationPoint] = ()
) -> dict[str, Any] | None:
    """`evidence` of result.json, from the winner's figures there; None without a winner or test clips.

    `banner` is None where the winner is proven, and `advice` says in sentences how much more to record. `calibration`
    is the winner's calibration curve.
    """
    test = winner and winner["test"]
    if winner is None or not test:
        return None
    chance = ChanceTest(**test["chance"])
    smallest = smallest_p_value(chance.num_anomalous, chance.num_normal, is_paired=chance.is_paired)
    is_enough = smallest <= SIGNIFICANT
    stand_ins = [name for name in SENTENCES if name in winner.get("stand_ins", ())]
    is_proven = chance.p_value <= SIGNIFICANT and not stand_ins
    banners = [SENTENCES[name] for name in stand_ins]
    if chance.p_value > SIGNIFICANT and "faults" in stand_ins:
        banners.append(_injected_banner(chance))
    elif chance.p_value > SIGNIFICANT:
        banners.append(_could_be_chance(chance) if is_enough else _too_few(chance, smallest))
    curve = learning_curve(test)
    return {
        "is_proven": is_proven,
        "is_enough": is_enough,
        "p_value": chance.p_value,
        "is_paired": chance.is_paired,
        "faults_last": bool(winner.get("faults_last")),
        "num_partly_faulty": num_partly_faulty(test),
        "stand_ins": stand_ins,
        "banner": " ".join(banners) or None,
        "advice": _advice_on(stand_ins)
        or [*_advice(test["auc"], chance, is_proven=is_proven), *curve_sentences(test, curve)],
        "learning_curve": curve,
        "calibration_curve": [asdict(point) for point in calibration],
        "calibration_sentence": calibration_sentence(calibration),
    }


def num_partly_faulty(test: Mapping[str, Any]) -> int:
    """Recordings that count as an anomalous and as a normal one, with their clips of either label."""
    return int(sum(each["num_recordings"] for each in test["recordings"].values()) - test["num_recordings"])


def _advice_on(stand_ins: Sequence[StandIn]) -> list[str]:
    return [ADVICE[name] for name in stand_ins]


def _injected_banner(chance: ChanceTest) -> str:
    return (
        f"Even the injected faults could be found by chance: the {chance.num_normal} test recordings, each compared "
        f"with itself with a fault, have p {chance.p_value:.2g} (sign test)."
    )


def _too_few(chance: ChanceTest, smallest: float) -> str:
    of_both = f"{chance.num_normal} recordings, each with a fault and without"
    has = of_both if chance.is_paired else f"{chance.num_anomalous} anomalous and {chance.num_normal} normal ones"
    return (
        f"Too few recordings to tell: the test has {has}, and "
        f"even a detector that separates them perfectly could be chance (p {smallest:.2g})."
    )


def _could_be_chance(chance: ChanceTest) -> str:
    found = (
        f"it ranks {chance.num_normal} recordings above themselves without their fault with p {chance.p_value:.2g} "
        "(sign test)"
        if chance.is_paired
        else f"its test AUC over {chance.num_anomalous + chance.num_normal} recordings has p {chance.p_value:.2g} "
        "(exact Mann-Whitney test, one score a recording)"
    )
    return f"The winner could be chance: {found}, and proof needs {SIGNIFICANT:g} or less."


def _advice(auc: float, chance: ChanceTest, *, is_proven: bool) -> list[str]:
    if is_proven:
        return []
    numbers = chance.num_anomalous, chance.num_normal
    needed = enough_recordings(*numbers, is_paired=chance.is_paired)
    if needed != numbers:
        which = (
            f"{needed[1]} test recordings, each with a fault and without"
            if chance.is_paired
            else f"{needed[0]} anomalous and {needed[1]} normal test recordings; the test gets about half of all "
            "anomalous ones and a quarter of the normal ones"
        )
        return [f"A perfect detector can be told from chance by {which}."]
    if chance.is_paired:
        return []
    times = times_to_prove(auc, *numbers)
    if times is None:
        return ["Its test AUC is no better than chance, so more recordings of this kind would not prove it."]
    return [f"At the same AUC about {times} times as many test recordings would prove it."]


def times_to_prove(auc: float, num_anomalous: int, num_normal: int) -> int | None:
    """How many times the recordings Mann and Whitney's test needs at this AUC, in its normal approximation.

    None where the AUC is no better than chance. At least 2.
    """
    if not auc > 0.5:
        return None
    sigma = math.sqrt((num_anomalous + num_normal + 1) / (12 * num_anomalous * num_normal))
    return max(2, math.ceil((ONE_SIDED_SIGMAS * sigma / (auc - 0.5)) ** 2))


def learning_curve(test: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What the intervals would be at the same rates with some multiples of the test recordings."""
    return [_intervals(test, times) for times in TIMES]


def _intervals(test: Mapping[str, Any], times: int) -> dict[str, Any]:
    num_anomalous, num_normal = (
        times * test["recordings"][label]["num_recordings"] for label in ("anomalous", "normal")
    )
    recall = share_interval(test["recall"], num_anomalous)
    false_alarms = share_interval(test["false_alarms"], num_normal)
    return {
        "num_recordings": times * test["num_recordings"],
        "num_anomalous": num_anomalous,
        "num_normal": num_normal,
        "f1": test["f1"],
        "recall_interval": recall,
        "false_alarms_interval": false_alarms,
        "f1_interval": f1_interval(recall, false_alarms, prevalence=test["prevalence"]),
    }


def curve_sentences(test: Mapping[str, Any], curve: Sequence[Mapping[str, Any]]) -> list[str]:
    """The learning curve in a sentence; none where F1 has no interval."""
    now, twice, *_ = curve
    if math.isnan(now["f1_interval"][0]):
        return []
    low, high = twice["f1_interval"]
    return [
        f"With twice as many test recordings ({twice['num_recordings']} in place of {now['num_recordings']}) the "
        f"interval of test F1 would be about {low:.2f} to {high:.2f}, which is {_width(twice):.2f} wide in place of "
        f"{_width(now):.2f}, if the rates stay the same. {_halving(test, now)}"
    ]


def _halving(test: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """By the rule of 1 / sqrt(n) four times the recordings halve an interval; fewer where there are few."""
    for times in range(2, MOST_TIMES + 1):
        if 2 * _width(_intervals(test, times)) <= _width(now):
            return f"{times} times as many would halve it."
    return f"{MOST_TIMES} times as many would not halve it."


def calibration_sentence(points: Sequence[CalibrationPoint]) -> str | None:
    """What the last doubling of the healthy calibration recordings has changed; None where there was no doubling."""
    if len(points) < 2:
        return None
    fewer, now = points[-2:]
    is_worth_it = max(now.f1 - fewer.f1, now.auc - fewer.auc) >= WORTH_RECORDING
    return (
        f"Calibrated on {fewer.num_takes} of the {now.num_takes} healthy recordings that are kept for that, the same "
        f"network has a validation F1 of {fewer.f1:.3f} in place of {now.f1:.3f}, and an AUC of {fewer.auc:.3f} in "
        f"place of {now.auc:.3f}, so more of them {'should help' if is_worth_it else 'would hardly help'}."
    )


def _width(row: Mapping[str, Any]) -> float:
    low, high = row["f1_interval"]
    return float(high - low)
