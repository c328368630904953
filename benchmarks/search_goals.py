"""What was asked of the search, and what a table of trainings says: reached or missed."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from benchmarks.compared_rules import CF29BB1, DEFAULT, NOW, OLD_RULE
from benchmarks.intervals_over_cars import interval, means_of_draws, share_collected
from benchmarks.replayed_cars import FIGURES
from benchmarks.replayed_studies import FloatArray

ELSEWHERE = {
    "chosen without any real fault: at most .03 of AUC below chosen with them": "injected_faults.py",
    "the default study's time: not longer than before": "default_study.py",
    "live studies agree with their replays": "live_studies.py --table FOLDER",
}
"""What has a command of its own, in benchmarks/."""
F1, FLATTERY = FIGURES.index("F1"), FIGURES.index("validation F1 minus F1")


@dataclass(frozen=True, kw_only=True)
class Goal:
    sought: str
    measured: str
    """With its interval over cars."""
    is_reached: bool | None
    """None where the figures cannot tell."""

    @property
    def verdict(self) -> str:
        return {True: "reached", False: "**missed**", None: "cannot be told"}[self.is_reached]


def print_goals(rows: Mapping[str, FloatArray], gains: FloatArray, kept: Mapping[str, FloatArray]) -> None:
    """`rows` are (cars, FIGURES) by rule, `gains` (cars,) the possible ones over trial 0, `kept` (cars,) by what
    benchmarks/kept_promises.py measures."""
    print("| sought, on fresh takes | measured | |\n| --- | --- | --- |")
    for goal in goals_of(rows, gains, kept):
        print(f"| {goal.sought} | {goal.measured} | {goal.verdict} |")
    for sought, command in ELSEWHERE.items():
        print(f"| {sought} | `python benchmarks/{command}` | |")
    print()


def goals_of(rows: Mapping[str, FloatArray], gains: FloatArray, kept: Mapping[str, FloatArray]) -> Iterator[Goal]:
    over_before, over_now, of_old = (
        rows[name][:, F1] - rows[other][:, F1] for name, other in ((NOW, CF29BB1), (NOW, DEFAULT), (OLD_RULE, DEFAULT))
    )
    is_told_from_0 = np.percentile(means_of_draws(over_before), 2.5) > 0
    yield Goal(
        sought="the winner's F1 minus that of trial 0 of cf29bb1: at least .05, its interval above 0",
        measured=interval(over_before),
        is_reached=bool(over_before.mean() >= 0.05 and is_told_from_0),
    )
    is_gain_told_from_0 = bool(means_of_draws(gains).min() > 0)
    has_most = is_gain_told_from_0 and bool(over_now.sum() >= 0.7 * gains.sum())
    yield Goal(
        sought="the winner's F1 minus that of today's trial 0: at least .05, or 70 % of what is to be had",
        measured=f"{interval(over_now)}; to be had {interval(gains)}",
        is_reached=bool(over_now.mean() >= 0.05) or has_most,
    )
    yield Goal(
        sought="share of the possible gain, sum over sum: at least 70 %",
        measured=f"{share_collected(over_now, gains)}; random search by the old rule {share_collected(of_old, gains)}",
        is_reached=has_most if is_gain_told_from_0 else None,
    )
    flattery = np.abs(rows[NOW][:, FLATTERY])
    yield Goal(
        sought="validation's F1 minus F1, the mean of absolute differences: at most .02",
        measured=interval(flattery, sign=""),
        is_reached=bool(flattery.mean() <= 0.02),
    )
    alarms = kept["false alarms promised by the study's own takes"]
    yield Goal(
        sought="false alarms by a promise of 5 %, as a study makes it: 3 to 7 %",
        measured=interval(alarms, sign=""),
        is_reached=bool(0.03 <= alarms.mean() <= 0.07),
    )
    bounds = {name: shares for name, shares in kept.items() if name.startswith("bound of ")}
    weakest = min(bounds, key=lambda name: float(bounds[name].mean()))
    yield Goal(
        sought="one-sided 95 % bounds of the winner's figures: hold in at least 92 %",
        measured=f"the {weakest} in {interval(bounds[weakest], sign='')}, no other in fewer",
        is_reached=bool(bounds[weakest].mean() >= 0.92),
    )
