"""Whether the test recordings prove that a winner detects faults, and how much more to record where they do not.

Test figures are computed after the choice and change nothing about it: a winner that could be chance is called
unproven, and its file and its command are handed over all the same. So is a winner that was judged by injected faults
or by parts of takes, however good its figures are.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from core.data.stand_ins import SENTENCES, StandIn
from core.decision.exact_figures import (
    SIGNIFICANT,
    enough_recordings,
    f1_interval,
    share_interval,
    smallest_p_value,
)

TIMES = (1, 2, 4, 8)
"""Multiples of the test recordings in the learning curve."""
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


def evidence_of(winner: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """`evidence` of result.json, from the winner's figures there; None without a winner or test clips.

    `banner` is None where the winner is proven, and `advice` says in sentences how much more to record.
    """
    test = winner and winner["test"]
    if winner is None or not test:
        return None
    p_value = test["p_value"]
    num_anomalous, num_normal = (test["recordings"][name]["num_recordings"] for name in ("anomalous", "normal"))
    is_enough = smallest_p_value(num_anomalous, num_normal) <= SIGNIFICANT
    stand_ins = [name for name in SENTENCES if name in winner.get("stand_ins", ())]
    is_proven = p_value <= SIGNIFICANT and not stand_ins
    banners = [SENTENCES[name] for name in stand_ins]
    if p_value > SIGNIFICANT and "faults" in stand_ins:
        banners.append(_injected_banner(p_value, num_normal))
    elif p_value > SIGNIFICANT:
        banners.append(_banner(test, num_anomalous, num_normal, is_enough=is_enough))
    curve = learning_curve(test, num_anomalous, num_normal)
    return {
        "is_proven": is_proven,
        "is_enough": is_enough,
        "p_value": p_value,
        "is_paired": bool(test.get("is_paired")),
        "stand_ins": stand_ins,
        "banner": " ".join(banners) or None,
        "advice": _advice_on(stand_ins)
        or [*_advice(test, num_anomalous, num_normal, is_proven=is_proven), *curve_sentences(curve)],
        "learning_curve": curve,
    }


def _advice_on(stand_ins: Sequence[StandIn]) -> list[str]:
    return [ADVICE[name] for name in stand_ins]


def _injected_banner(p_value: float, num_recordings: int) -> str:
    return (
        f"Even the injected faults could be found by chance: the {num_recordings} test recordings, each compared with "
        f"itself with a fault, have p {p_value:.2g} (sign test)."
    )


def _banner(test: Mapping[str, Any], num_anomalous: int, num_normal: int, *, is_enough: bool) -> str:
    if not is_enough:
        return (
            f"Too few recordings to tell: the test has {num_anomalous} anomalous and {num_normal} normal ones, and "
            f"even a detector that separates them perfectly could be chance "
            f"(p {smallest_p_value(num_anomalous, num_normal):.2g})."
        )
    return (
        f"The winner could be chance: its test AUC over {num_anomalous + num_normal} recordings has "
        f"p {test['p_value']:.2g} (exact Mann-Whitney test, one score a recording), and proof needs "
        f"{SIGNIFICANT:g} or less."
    )


def _advice(test: Mapping[str, Any], num_anomalous: int, num_normal: int, *, is_proven: bool) -> list[str]:
    if is_proven:
        return []
    needed = enough_recordings(num_anomalous, num_normal)
    if needed != (num_anomalous, num_normal):
        return [
            f"A perfect detector can be told from chance by {needed[0]} anomalous and {needed[1]} normal test "
            "recordings; the test gets about half of all anomalous ones and a quarter of the normal ones."
        ]
    times = times_to_prove(test["auc"], num_anomalous, num_normal)
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


def learning_curve(test: Mapping[str, Any], num_anomalous: int, num_normal: int) -> list[dict[str, Any]]:
    """What the intervals would be at the same rates with some multiples of the test recordings."""
    rows = []
    for times in TIMES:
        recall = share_interval(test["recall"], times * num_anomalous)
        false_alarms = share_interval(test["false_alarms"], times * num_normal)
        rows.append(
            {
                "num_anomalous": times * num_anomalous,
                "num_normal": times * num_normal,
                "recall_interval": recall,
                "false_alarms_interval": false_alarms,
                "f1_interval": f1_interval(recall, false_alarms, prevalence=test["prevalence"]),
            }
        )
    return rows


def curve_sentences(curve: list[dict[str, Any]]) -> list[str]:
    """The learning curve in a sentence; none where F1 has no interval."""
    now, *others = curve
    if math.isnan(now["f1_interval"][0]):
        return []
    sizes = ", ".join(f"{_width(row):.2f} with {row['num_anomalous'] + row['num_normal']}" for row in others)
    return [
        f"The interval of test F1 is {_width(now):.2f} wide with {now['num_anomalous'] + now['num_normal']} test "
        f"recordings; at the same rates it would be {sizes}."
    ]


def _width(row: Mapping[str, Any]) -> float:
    low, high = row["f1_interval"]
    return float(high - low)
