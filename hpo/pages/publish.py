"""Pages and results: made from what trials left, written to the study's folder, and put on record in MLflow."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution

from core.baselines.comparison import Row as ComparedRow
from core.baselines.comparison_table import lines_of
from core.data.clips import ClipSet
from core.decision.checkpoint import DETECTOR_FILE
from core.decision.post_search import F1Surface, f1_surface
from core.decision.postprocess import PostprocessingConfig, events
from core.decision.statistic import Judgement
from core.text_files import write_text
from hpo.pages.clip_figure import ClipView
from hpo.pages.event_figures import at_best_epoch, event_metrics_in
from hpo.pages.plot_style import CONFIG
from hpo.pages.post_section import post_figures
from hpo.pages.report import study_page
from hpo.pages.study_figures import study_figures
from hpo.pages.trial_figures import SplitScores
from hpo.pages.trial_page import trial_page
from hpo.results.finalists import FinalistsStudy, finalists_of
from hpo.results.post_result import POST_DIRECTORY, post_result
from hpo.results.result import WINNER_DIRECTORY, JudgedTrial, has_files, judge_trial, study_result, write_result
from hpo.results.winner import choose_best
from hpo.search.data_by_rate import Datasets
from hpo.search.search_space import describe_range
from hpo.search.study import OpenStudy
from hpo.search.trial_record import TrialRecord, trial_records
from hpo.tracking.run_log import EVENTS_FILE_NAME, RunLog

PAGE_FILE = "page.html"
REPORT_FILE = "report.html"
TABLE_FILE = "trials.csv"
OBJECTIVE = (
    "Objective: validation F1 of clips at the trial's own window and threshold, at the epoch with the best validation "
    "AUC. Pruning watches validation AUC. Test figures are logged and choose nothing."
)
NUM_PAGES = 3
"""Trials that get a page without being asked for: the best by validation."""
NUM_WINDOWS, NUM_THRESHOLDS = 48, 80
"""At most, on the surface of F1."""


def study_description(search: OpenStudy, data: str) -> str:
    """What was searched and why, as Markdown: above the runs in MLflow, and on the report."""
    default = search.space.default_parameters
    rows = [
        f"| `{name}` | {describe_range(distribution)} | {default[name]} |"
        for name, distribution in search.space.distributions.items()
    ]
    return "\n".join(
        [
            f"**{search.spec.goal}**",
            "",
            f"Data: {data}",
            "",
            f"{OBJECTIVE} Losses are bits per sample.",
            "",
            "| searched | range | default (trial 0) |",
            "| --- | --- | --- |",
            *rows,
        ]
    )


def publish_study(
    search: OpenStudy,
    datasets: Datasets,
    log: RunLog,
    *,
    about: Mapping[str, Any],
    companion: FinalistsStudy | None,
    rows_beside: Callable[[Mapping[str, Any]], Sequence[ComparedRow]],
) -> dict[str, Any]:
    """result.json, the winner's folder, pages of the best trials, plots and report; returns the result.

    `rows_beside` gives the comparison of a winner with its alternatives, or nothing.
    """
    result = study_result(search, about=about, companion=companion)
    post = post_result(search, best_records(search, search.spec.post.trials))
    rows = rows_beside(result["winner"]) if result["winner"] else ()
    comparison = lines_of([rows]) if rows else []
    result |= {"post": post.summary if post else None, "comparison": [asdict(line) for line in comparison]}
    log.artifact(write_result(search, result))
    for record in best_records(search, NUM_PAGES):
        if has_files(search.trial_directory(record.number)):
            publish_trial_page(search, datasets, record.number)
    if companion is not None:
        _publish_winning_seed(companion, datasets, result)
    surface = winner_surface(search, result["winner"]) if result["winner"] else None
    figures = study_figures(search.study, result=result, surface=surface) | (
        post_figures(post.found, post.study) if post else {}
    )
    for name, figure in figures.items():
        path = search.directory / "plots" / f"{name}.html"
        path.parent.mkdir(exist_ok=True)
        write_text(path, figure.to_html(include_plotlyjs=True, config=CONFIG))
        log.artifact(path, "plots")
    report = search.directory / REPORT_FILE
    page = study_page(
        search.study, result=result, figures=figures, description=OBJECTIVE, surface=surface, comparison=comparison
    )
    write_text(report, page)
    log.artifact(report)
    table = search.directory / TABLE_FILE
    write_text(
        table, search.study.trials_dataframe(("number", "state", "value", "params", "duration")).to_csv(index=False)
    )
    log.artifact(table)
    if result["winner"]:
        log.artifact(search.directory / WINNER_DIRECTORY / DETECTOR_FILE, WINNER_DIRECTORY)
        winner = result["winner"]
        log.tags(
            {
                "winner": f"trial {winner['trial']} seed {winner['seed']}",
                "detector_found": str(result["detector_found"]),
            }
        )
    if post:
        log.artifact(post.checkpoint, POST_DIRECTORY)
    return result


def _publish_winning_seed(companion: FinalistsStudy, datasets: Datasets, result: Mapping[str, Any]) -> None:
    """The page of the training whose file is handed over, where that is none of the search's."""
    for finalist in finalists_of(companion):
        best = finalist.best
        if (
            best
            and finalist.number == result["winner"]["trial"]
            and best.directory.parent == companion.trials_directory
        ):
            publish_trial_page(companion, datasets, best.record.number)


def winner_surface(search: OpenStudy, winner: Mapping[str, Any]) -> F1Surface:
    """F1 of the winner's validation clips over the windows and thresholds that the study searches."""
    trial = judge_trial((search.directory / winner["checkpoint"]).parent)
    statistic = trial.detector.statistic
    clip_ms = statistic.frame_ms * trial.judged["validation"].sigmas.shape[1]
    windows_ms, thresholds = surface_grid(
        search.space.distributions, statistic.config, frame_ms=statistic.frame_ms, clip_ms=clip_ms
    )
    return f1_surface(
        statistic.config,
        windows_ms,
        thresholds,
        trial.scored,
        score=trial.detector.scoring.score,
        frame_ms=statistic.frame_ms,
    )


def surface_grid(
    space: Mapping[str, BaseDistribution], own: PostprocessingConfig, *, frame_ms: float, clip_ms: float
) -> tuple[list[float], list[float]]:
    """Windows in ms, all of whole frames, and thresholds in sigmas, over what is searched, else over what is usual.

    The trial's own threshold is among them, so that its point has the F1 that is said of it.
    """
    shortest, longest = _range(space.get("window_ms"), or_else=(frame_ms, max(clip_ms, own.window_ms)))
    usual = (min(0.0, own.threshold_sigmas), max(6.0, 2 * own.threshold_sigmas))
    lowest, highest = _range(space.get("threshold_sigmas"), or_else=usual)
    frames = np.geomspace(max(1, shortest / frame_ms), max(1, longest / frame_ms), NUM_WINDOWS).round()
    thresholds = np.append(np.linspace(lowest, highest, NUM_THRESHOLDS), own.threshold_sigmas)
    return list(np.unique(frames) * frame_ms), sorted(set(thresholds.tolist()))


def _range(distribution: BaseDistribution | None, *, or_else: tuple[float, float]) -> tuple[float, float]:
    if isinstance(distribution, FloatDistribution | IntDistribution):
        return distribution.low, distribution.high
    return or_else


def best_records(search: OpenStudy, count: int) -> list[TrialRecord]:
    """Complete trials, best first, by the rule that chooses the finalists."""
    return choose_best(trial_records(search.study), count)


def publish_trial_page(search: OpenStudy, datasets: Datasets, number: int) -> Path:
    """Writes one trial's page beside its other files and attaches it to its run."""
    frozen = search.study.get_trials(deepcopy=False)[number]
    record = TrialRecord.of(frozen)
    directory = search.trial_directory(number)
    trial = judge_trial(directory)
    dataset = datasets.at(trial.detector.front_end.config.sample_rate_hz)
    path = directory / PAGE_FILE
    events_found = {metric: at_best_epoch(record, metric) for metric in event_metrics_in([record])}
    page = trial_page(
        title=f"{search.study.study_name}, {search.run_name_of(frozen)}",
        epochs=record.epochs,
        validation=_split_scores(trial, "validation"),
        test=_split_scores(trial, "test"),
        threshold_sigmas=trial.threshold,
        clips=_typical_clips(trial, dataset.validation, dataset.sample_rate_hz),
        facts={"parameters": dict(record.parameters), **record.facts, **events_found},
    )
    write_text(path, page)
    RunLog(directory / EVENTS_FILE_NAME).artifact(path)
    return path


def _split_scores(trial: JudgedTrial, split: str) -> SplitScores:
    return SplitScores(clip_scores=trial.judged[split].clip_scores, is_anomalous=trial.scored[split].is_anomalous)


def _typical_clips(trial: JudgedTrial, clips: ClipSet, sample_rate_hz: int) -> list[ClipView]:
    """The normal and the anomalous validation clip whose score is the median of their kind."""
    judged = trial.judged["validation"]
    views = []
    for label, rows in (("normal", ~clips.is_anomalous), ("anomalous", clips.is_anomalous)):
        indices = np.flatnonzero(rows)
        median = indices[np.argsort(judged.clip_scores[indices], kind="stable")[len(indices) // 2]]
        views.append(_clip_view(trial, judged, clips, int(median), label, sample_rate_hz))
    return views


def _clip_view(
    trial: JudgedTrial, judged: Judgement, clips: ClipSet, index: int, label: str, sample_rate_hz: int
) -> ClipView:
    frame_s = trial.detector.scoring.frame_samples(sample_rate_hz) / sample_rate_hz
    first_frame_s = trial.detector.context_samples / sample_rate_hz
    found = [(event, judged.channel_of(index, event)) for event in events(judged.thresholds[index], trial.threshold)]
    channel = found[0][1] if found else 0
    return ClipView(
        title=f"A typical {label} clip: {clips.recording_ids[index]} from {clips.starts_s[index]:.1f} s",
        machine=clips.machines[index],
        label=label,
        condition=clips.conditions[index],
        waveform=clips.waveforms[index, channel],
        sample_rate_hz=sample_rate_hz,
        frame_ms=1000 * frame_s,
        scores=judged.sigmas[index],
        threshold_sigmas=trial.threshold,
        events=tuple(
            (first_frame_s + event.first_frame * frame_s, first_frame_s + event.end_frame * frame_s, loudest + 1)
            for event, loudest in found
        ),
        first_frame_s=first_frame_s,
        labelled=clips.events[index] if clips.events is not None else None,
    )
