"""Makes a study's result and pages, writes them to its folder, and attaches them to its MLflow runs."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from core.baselines.comparison import Row as ComparedRow
from core.baselines.comparison_table import Line, lines_of
from core.decision.checkpoint import DETECTOR_FILE
from core.whole_file import write_text
from hpo.pages.event_metrics import event_metrics_in
from hpo.pages.plot_style import wait_for_pandas
from hpo.pages.post_figures import post_figures
from hpo.pages.report import plots_page, study_page
from hpo.pages.study_figures import study_figures
from hpo.pages.trial_page import trial_page
from hpo.pages.trial_view import trial_view
from hpo.pages.winner_surface import winner_surface
from hpo.results.finalists import FinalistsStudy, finalists_of
from hpo.results.healthy_takes import trials_near_winning
from hpo.results.post_result import POST_DIRECTORY, PostResult, post_result
from hpo.results.result import WINNER_DIRECTORY, study_result, write_result
from hpo.results.trial_files import TrialFiles
from hpo.results.whiteness import WhitenessOfTrials, whiteness_facts
from hpo.results.winner import choose_best, has_score
from hpo.results.winner_file import winner_file
from hpo.search.parameters import describe_range
from hpo.search.study import OpenStudy, objective_name
from hpo.search.trial_record import TrialRecord, trial_records
from hpo.tracking.run_log import EVENTS_FILE_NAME, RunLog

PAGE_FILE = "page.html"
REPORT_FILE = "report.html"
PLOTS_FILE = "plots.html"
TABLE_FILE = "trials.csv"
MEANINGS = {
    "balanced_f1": "Balanced F1 is F1 as if there were at least as many normal clips as anomalous ones, where a clip "
    "near the threshold counts in part, because its score could as well be a little higher or lower. ",
    "expected_f1": "Expected F1 is F1 where a clip near the threshold counts in part, because its score could as well "
    "be a little higher or lower. ",
    "f1": "",
}
NUM_PAGES = 3
"""Trials that get a page without --page: the best by validation."""


def objective_words(search: OpenStudy) -> str:
    return (
        f"Objective: {objective_name(search.study)} of validation clips at the trial's own window and threshold, at "
        f"the epoch with the best validation AUC. {MEANINGS[search.spec.objective]}Pruning uses validation AUC. Test "
        "figures are logged and are not used for choosing."
    )


def study_description(search: OpenStudy, data: str) -> str:
    """What is searched and why, as Markdown for MLflow's experiment and the Optuna dashboard."""
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
            f"{objective_words(search)} Losses are bits per sample.",
            "",
            "| searched | range | default (trial 0) |",
            "| --- | --- | --- |",
            *rows,
        ]
    )


@dataclass(frozen=True, kw_only=True)
class StudyResults:
    """What a study found: everything that its pages show."""

    result: Mapping[str, Any]
    """What result.json holds."""
    post: PostResult | None
    comparison: Sequence[Line]


def publish_study(
    search: OpenStudy,
    files: TrialFiles,
    log: RunLog,
    *,
    about: Mapping[str, Any],
    companion: FinalistsStudy | None,
    comparison_rows: Callable[[Mapping[str, Any]], Sequence[ComparedRow]],
    say_step: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Writes and attaches result.json, the winner's folder, the pages of the best trials, plots and report.

    `comparison_rows` returns the comparison of a winner with its alternatives, empty for none. `say_step` gets the name
    of each step before it begins. Returns the result.
    """
    _ensure_files(search, companion, files)
    result = study_result(search, about=about, companion=companion)
    say_step("Searching post-processing")
    post = post_result(search, _records_of_post(search, result["winner"]))
    rows = comparison_rows(result["winner"]) if result["winner"] else ()
    comparison = lines_of([rows]) if rows else []
    result |= {"post": post.summary if post else None, "comparison": [asdict(line) for line in comparison]}
    innovations = WhitenessOfTrials(files=files)
    result |= {"whiteness": _whiteness(search, innovations, result["winner"])}
    log.artifact(write_result(search, result))
    say_step("Making pages, plots and the report")
    wait_for_pandas()
    for record in best_records(search, NUM_PAGES):
        publish_trial_page(search, innovations, record.number)
    if companion is not None:
        _publish_winning_seed(companion, innovations, result)
    _publish_report(search, log, StudyResults(result=result, post=post, comparison=comparison))
    _publish_winner(search, log, result)
    if post:
        log.artifact(post.checkpoint, POST_DIRECTORY)
    return result


def _records_of_post(search: OpenStudy, winner: Mapping[str, Any] | None) -> list[TrialRecord]:
    """The winner and the other best trials, whose post-processing is searched."""
    best = best_records(search, search.spec.post.trials)
    first = [record for record in trial_records(search.study) if winner and record.number == winner["trial"]]
    return [*first, *(record for record in best if record not in first)][: search.spec.post.trials]


def _ensure_files(search: OpenStudy, companion: FinalistsStudy | None, files: TrialFiles) -> None:
    """Of all trials that are read for the result and the pages: the best ones, the default and the finalists."""
    best = [*best_records(search, max(NUM_PAGES, search.spec.post.trials)), *trials_near_winning(search)]
    numbers = {record.number for record in best}
    numbers |= {record.number for record in trial_records(search.study)[:1] if record.state == "complete"}
    finalists = finalists_of(companion) if companion else []
    for training in (each for finalist in finalists for each in finalist.seeds if has_score(each.record)):
        if companion and training.directory.parent == companion.trials_directory:
            files.ensure(companion, training.record.number)
        else:
            numbers.add(training.record.number)
    for number in sorted(numbers):
        files.ensure(search, number)


def _whiteness(
    search: OpenStudy, innovations: WhitenessOfTrials, winner: Mapping[str, Any] | None
) -> dict[str, Any] | None:
    """Of the winner's network, for result.json."""
    return whiteness_facts(innovations.of((search.directory / winner["checkpoint"]).parent)) if winner else None


def _publish_winning_seed(companion: FinalistsStudy, innovations: WhitenessOfTrials, result: Mapping[str, Any]) -> None:
    """Publishes the page of the winning training, where that is a training of a finalist with a new seed."""
    winner = result["winner"]["trial"] if result["winner"] else None
    for finalist in finalists_of(companion):
        best = finalist.best if finalist.number == winner else None
        if best and best.directory.parent == companion.trials_directory:
            publish_trial_page(companion, innovations, best.record.number)


def _publish_report(search: OpenStudy, log: RunLog, findings: StudyResults) -> None:
    """The report, the page of plots, and the table of trials."""
    result, post = findings.result, findings.post
    surface = winner_surface(search, result["winner"]) if result["winner"] else None
    figures = study_figures(search.study, result=result, surface=surface)
    figures |= post_figures(post.found, post.study) if post else {}
    report = study_page(
        search.study,
        result=result,
        figures=figures,
        description=objective_words(search),
        surface=surface,
        comparison=findings.comparison,
        pages=_pages_of(search),
        winner_file=winner_file(search.directory) if result["winner"] else None,
        winner_page=_winner_page(search, result["winner"]),
    )
    table = search.study.trials_dataframe(("number", "state", "value", "params", "duration")).to_csv(index=False)
    plots = plots_page(search.study.study_name, figures, evidence=result["evidence"])
    for name, text in ((REPORT_FILE, report), (PLOTS_FILE, plots), (TABLE_FILE, table)):
        write_text(search.directory / name, text)
        log.artifact(search.directory / name)


def _pages_of(search: OpenStudy) -> dict[int, str]:
    """Paths of the trials' pages from the report, by the trial's number."""
    paths = search.trials_directory.glob(f"*/{PAGE_FILE}")
    return {int(path.parent.name): path.relative_to(search.directory).as_posix() for path in paths}


def _winner_page(search: OpenStudy, winner: Mapping[str, Any] | None) -> str:
    """Path of the winning training's page from the report; "" where it has none."""
    if winner is None:
        return ""
    page = Path(winner["checkpoint"]).with_name(PAGE_FILE)
    return page.as_posix() if (search.directory / page).exists() else ""


def _publish_winner(search: OpenStudy, log: RunLog, result: Mapping[str, Any]) -> None:
    winner = result["winner"]
    if winner is None:
        return
    log.artifact(search.directory / WINNER_DIRECTORY / DETECTOR_FILE, WINNER_DIRECTORY)
    log.tags(
        {
            "winner": f"trial {winner['trial']} seed {winner['seed']}",
            "detector_found": str(result["detector_found"]),
            "threshold_sigmas": f"{winner['threshold_sigmas']:.6g}",
            **({"promise": result["promise"]["sentence"]} if result["promise"] else {}),
            **({"stand_ins": ", ".join(winner["stand_ins"])} if winner["stand_ins"] else {}),
            "winner_proven": str(bool(result["evidence"] and result["evidence"]["is_proven"])),
        }
    )


def best_records(search: OpenStudy, count: int) -> list[TrialRecord]:
    """At most `count` complete trials, best first, by the rule that chooses the finalists."""
    return choose_best(trial_records(search.study), count)


def publish_trial_page(search: OpenStudy, innovations: WhitenessOfTrials, number: int) -> Path:
    """Writes one trial's page to the trial's folder and attaches it to its run. Returns its path."""
    wait_for_pandas()
    frozen = search.study.get_trials(deepcopy=False)[number]
    record = TrialRecord.of(frozen)
    directory = search.trial_directory(number)
    events_found = {metric: record.best_epoch.get(metric) for metric in event_metrics_in([record])}
    page = trial_page(
        trial_view(search, innovations, frozen),
        facts={"parameters": dict(record.parameters), **record.facts, **events_found},
        report=Path(os.path.relpath(_report_of(search), directory)).as_posix(),
    )
    path = directory / PAGE_FILE
    write_text(path, page)
    RunLog(directory / EVENTS_FILE_NAME).artifact(path)
    return path


def _report_of(search: OpenStudy) -> Path:
    """The report of the search, also for its finalists."""
    main = search.main if isinstance(search, FinalistsStudy) else search
    return main.directory / REPORT_FILE
