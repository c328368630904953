"""The lines that the command says after a search: the winner, its figures with their intervals, and what they show."""

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from core.command_line import counted
from core.decision.checkpoint import DETECTOR_FILE
from hpo.pages.publish import REPORT_FILE
from hpo.results.missed_faults import SPLITS
from hpo.results.promise import has_other_threshold
from hpo.results.result import WINNER_DIRECTORY
from hpo.results.winner_file import detect_command


def summary(result: Mapping[str, Any], directory: Path) -> list[str]:
    """The end of a study, in words and figures."""
    counts = ", ".join(f"{count} {state}" for state, count in result["trials"].items())
    report = f"Report:   {os.path.relpath(directory / REPORT_FILE)}"
    winner = result["winner"]
    if winner is None:
        return [f"No trial completed ({counts}).", report]
    again = next((row for row in result["finalists"] if row["is_winner"]), None)
    parameters = ", ".join(f"{name} {short(value)}" for name, value in winner["parameters"].items())
    lines = [
        "",
        f"{_heading(result)}: trial {winner['trial']} ({counts})",
        f"  {parameters}",
        *(_over_seeds(again, result) if again else ()),
        f"  validation  F1 {_figures(winner['validation'])}",
        f"  test        F1 {_figures(winner['test'])}",
        *_event_lines(winner),
        *_choice_lines(result.get("choice")),
        *_evidence_lines(result.get("evidence"), winner["test"]),
        *_promise_lines(result.get("promise")),
        *_prediction_lines(result.get("prediction")),
        *_whiteness_lines(result.get("whiteness")),
    ]
    if len(winner["per_machine"]) > 1:
        for machine, splits in winner["per_machine"].items():
            lines.append(f"    {machine:10} test F1 {_figures(splits['test'])}")
    if result["default"]:
        default = result["default"]
        lines.append(f"Default configuration (trial 0): validation F1 {_figures(default['validation'])}")
        lines.append(f"                                 test F1 {_figures(default['test'])}")
    return [*lines, *_post_lines(result.get("post")), "", report, *detect_lines(directory / WINNER_DIRECTORY)]


def _heading(result: Mapping[str, Any]) -> str:
    if not result["detector_found"]:
        return "No detector found: flagging everything is as good. Best was"
    evidence = result.get("evidence")
    return "Winner" if evidence is None or evidence["is_proven"] else "Winner, unproven"


def _evidence_lines(evidence: Mapping[str, Any] | None, test: Mapping[str, Any]) -> list[str]:
    """The recordings that are flagged, the banner where they prove nothing, and how much more to record."""
    if evidence is None:
        return []
    words = {"anomalous": "with injected faults"} if "faults" in evidence["stand_ins"] else {}
    counts = [
        f"{each['num_flagged']} of {each['num_recordings']} {words.get(label, f'{label} ones')} "
        f"({_interval(each['flagged_interval'])})"
        for label, each in test["recordings"].items()
    ]
    partly = evidence["num_partly_faulty"]
    if partly and "faults" not in evidence["stand_ins"]:
        counts[-1] += f", counting the healthy part of {counted(partly, 'anomalous one')}"
    banner = [evidence["banner"]] if evidence["banner"] else []
    return [
        f"  recordings  flagged in test: {' and '.join(counts)}; by chance p {evidence['p_value']:.2g}",
        *(f"  {sentence}" for sentence in (*banner, *evidence["advice"])),
    ]


def _event_lines(winner: Mapping[str, Any]) -> list[str]:
    """F1 of events and of segments, where they are labelled."""
    if "event_f1" not in winner["test"]:
        return []
    figures = (f"{split} {winner[split]['event_f1']:.3f}, {winner[split]['segment_f1']:.3f}" for split in SPLITS)
    return [f"  events      event F1 and segment F1: {'; '.join(figures)}"]


def _choice_lines(choice: Mapping[str, Any] | None) -> list[str]:
    return [] if choice is None else [f"  choice      {choice['sentence']}"]


def _promise_lines(promise: Mapping[str, Any] | None) -> list[str]:
    """What sets the winner's threshold, and what happened on test."""
    if promise is None:
        return []
    other = f", in place of {promise['own_threshold_sigmas']:.2f}" if promise["is_other_threshold"] else ""
    return [
        f"  threshold   {promise['threshold_sigmas']:.2f} sigmas{other}. {promise['sentence']}",
        f"  {promise['test']}",
    ]


def _prediction_lines(prediction: Mapping[str, Any] | None) -> list[str]:
    return [] if prediction is None else [f"  prediction  {prediction['sentence']}"]


def _whiteness_lines(whiteness: Mapping[str, Any] | None) -> list[str]:
    return [f"  network     {whiteness['warning']}"] if whiteness and whiteness["warning"] else []


def detect_lines(folder: Path) -> list[str]:
    """The path of the detector in `folder`, and the command that judges recordings with it."""
    path = os.path.relpath(folder)
    return [
        f"Detector: {os.path.join(path, DETECTOR_FILE)}",
        f"Use it:   {detect_command(path)}",
    ]


def _post_lines(post: Mapping[str, Any] | None) -> list[str]:
    """The best other post-processing of the best trials, where it was searched."""
    if post is None:
        return []
    best = post["best"]
    parameters = ", ".join(f"{name} {short(value)}" for name, value in best["parameters"].items())
    return [
        f"Post-processing alone, {post['num_points']:,} points in {post['seconds']:.1f} s: best was {parameters}",
        f"  {post['choice']}",
        f"  validation  F1 {_figures(best['validation'])}",
        f"  test        F1 {_figures(best['test'])}",
        f"  {post['optimism']}",
    ]


def _over_seeds(row: Mapping[str, Any], result: Mapping[str, Any]) -> list[str]:
    """The finalist that won by its mean over the seeds; the file is that of one seed."""
    f1, test_f1 = (f"{row[split]['f1_mean']:.3f} ± {row[split]['f1_spread']:.3f}" for split in ("validation", "test"))
    is_other = has_other_threshold(result)
    at, promised = (", at the study's own threshold", ", at the threshold below") if is_other else ("", "")
    return [
        f"  {len(row['seeds'])} seeds     mean validation F1 {f1}, mean test F1 {test_f1}{at}",
        f"  the file of seed {row['seed_of_file']}, the best of them by {result['objective']} on validation{promised}:",
    ]


def _figures(figures: Mapping[str, Any]) -> str:
    if not figures:
        return "-- (no clips)"
    return (
        f"{figures['f1']:.3f} (95 % interval {_interval(figures['f1_interval'])} over "
        f"{counted(figures['num_recordings'], 'take')}), "
        f"AUC {figures['auc']:.3f} ({_interval(figures['auc_interval'])}); "
        f"prevalence {figures['prevalence']:.2f}, flagging everything F1 {figures['f1_flag_everything']:.3f}"
    )


def _interval(bounds: Sequence[float]) -> str:
    """Not defined for a machine whose clips have one label."""
    low, high = bounds
    return "not defined" if math.isnan(low) else f"{low:.3f} to {high:.3f}"


def short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
