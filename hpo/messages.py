"""What the command says before and after a search: a few lines for people, figures beside what they must beat."""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from core.data.recordings import Skipped
from core.model.wavenet import describe
from hpo.pages.publish import REPORT_FILE
from hpo.search.estimate import estimate_trial_seconds
from hpo.search.search_space import describe_range
from hpo.session import Session, StudyInputs
from hpo.tracking.links import charts_link, study_link

MAX_LEFT_OUT_LINES = 10


def overview(inputs: StudyInputs) -> list[str]:
    """What is searched and on what, in a few lines."""
    spec, space, dataset = inputs.spec, inputs.space, inputs.dataset
    searched = [f"{name} {describe_range(distribution)}" for name, distribution in space.distributions.items()]
    networks = [describe(config.wavenet(dataset.num_channels)) for config in space.extremes(dataset.num_channels)]
    sizes = [f"{facts['num_layers']} layers with {facts['num_weights']:,} weights" for facts in networks]
    return [
        f"Study {inputs.name}: {spec.goal}",
        f"  data      {inputs.corpus.description} (fingerprint {inputs.corpus.fingerprint})",
        f"  takes     {dataset.takes()}",
        f"            clips of {dataset.config.clips.clip_seconds:g} s, {dataset.num_channels} channel(s) "
        f"at {dataset.sample_rate_hz} Hz",
        *(f"            {note}" for note in dataset.notes),
        *(f"            {line}" for line in _left_out(dataset.skipped())),
        f"  searched  {'; '.join(searched)}",
        f"  networks  from {sizes[0]} to {sizes[1]}",
    ]


def _left_out(skipped: Sequence[Skipped]) -> list[str]:
    lines = [f"left out: {each.name}: {each.reason}" for each in skipped[:MAX_LEFT_OUT_LINES]]
    others = len(skipped) - len(lines)
    return [*lines, f"and {others} more, which python -m core.survey lists"] if others else lines


def estimate_line(inputs: StudyInputs, num_trials: int) -> str:
    seconds = estimate_trial_seconds(inputs.space, inputs.dataset, inputs.device, inputs.pool)
    minutes = [
        num_trials * each / 60 / inputs.num_workers for each in (seconds.default, seconds.smallest, seconds.largest)
    ]
    return (
        f"  estimate  {minutes[0]:.1f} min for {num_trials} trials of the default network, none pruned "
        f"({minutes[1]:.1f} of the smallest, {minutes[2]:.1f} of the largest); "
        f"{inputs.device}, {inputs.num_workers} process(es) of {inputs.pool.num_threads} thread(s)"
        f"{_estimate_of_finalists(inputs, seconds.default / 60 / inputs.num_workers)}"
    )


def _estimate_of_finalists(inputs: StudyInputs, minutes_each: float) -> str:
    config, epochs = inputs.spec.finalists, inputs.spec.training.epochs
    num_trainings = config.count * len(config.seeds(epochs))
    if not num_trainings:
        return ""
    minutes = num_trainings * minutes_each * config.epochs(epochs) / epochs
    return f"; then {minutes:.1f} min for {num_trainings} trainings of the finalists"


def where_to_look(session: Session) -> list[str]:
    """Where records go, and the addresses of their pages or the commands that open them."""
    search, target, mlflow = session.search, session.target, _mlflow(session)
    dashboard = _command("optuna-dashboard", search.storage.name)
    if search.storage.name == str(search.directory.parent / "optuna.journal"):
        dashboard = "make ui"
    elif session.pages.dashboard:
        dashboard = study_link(session.pages.dashboard, search.study._study_id)
    return [
        f"  tracking  {target.safe_uri} ({session.tracking_source}), experiment {target.experiment}: {mlflow}",
        f"  storage   {search.storage.name}: {dashboard}",
    ]


def _mlflow(session: Session) -> str:
    target = session.target
    if target.uri.startswith("http"):
        return session.pages.mlflow
    if target.uri == f"sqlite:///{session.search.directory.parent / 'mlflow.db'}":
        return "make ui"
    return _command("mlflow ui --backend-store-uri", target.safe_uri)


def _command(program: str, store: str) -> str:
    return f"{os.path.relpath(Path(sys.executable).parent)}/{program} {store}"


def curves_line(session: Session, experiment_id: str) -> str:
    """The page of every trial's test loss by epoch, once MLflow has said what number the experiment has."""
    link = charts_link(session.pages.mlflow, experiment_id)
    return f"  curves    {link if session.target.uri.startswith('http') else f'{_mlflow(session)}, then {link}'}"


def summary(result: Mapping[str, Any], directory: Path) -> list[str]:
    """The end of a study, in words and figures."""
    counts = ", ".join(f"{count} {state}" for state, count in result["trials"].items())
    report = f"Report: {directory / REPORT_FILE}"
    winner = result["winner"]
    if winner is None:
        return [f"No trial completed ({counts}).", report]
    verdict = "Winner" if result["detector_found"] else "No detector found: flagging everything is as good. Best was"
    again = next((row for row in result["finalists"] if row["is_winner"]), None)
    parameters = ", ".join(f"{name} {short(value)}" for name, value in winner["parameters"].items())
    lines = [
        "",
        f"{verdict}: trial {winner['trial']} ({counts})",
        f"  {parameters}",
        *(_over_seeds(again) if again else ()),
        f"  validation  F1 {_figures(winner['validation'])}",
        f"  test        F1 {_figures(winner['test'])}",
    ]
    if len(winner["per_machine"]) > 1:
        for machine, splits in winner["per_machine"].items():
            lines.append(f"    {machine:10} test F1 {_figures(splits['test'])}")
    if result["default"]:
        default = result["default"]
        lines.append(f"Default configuration (trial 0): validation F1 {_figures(default['validation'])}")
        lines.append(f"                                 test F1 {_figures(default['test'])}")
    return [*lines, *_post_lines(result.get("post")), report]


def _post_lines(post: Mapping[str, Any] | None) -> list[str]:
    """What other post-processing would have made of the best trials."""
    if post is None:
        return []
    best = post["best"]
    parameters = ", ".join(f"{name} {short(value)}" for name, value in best["parameters"].items())
    return [
        f"Post-processing alone, {post['num_points']:,} points in {post['seconds']:.1f} s: best was {parameters}",
        f"  validation  F1 {_figures(best['validation'])}",
        f"  test        F1 {_figures(best['test'])}",
        f"  {post['optimism']}",
    ]


def _over_seeds(row: Mapping[str, Any]) -> list[str]:
    """The finalist that won by its mean, of which the file of one seed is handed over."""
    f1, test_f1 = (f"{row[split]['f1_mean']:.3f} ± {row[split]['f1_spread']:.3f}" for split in ("validation", "test"))
    return [
        f"  {len(row['seeds'])} seeds     mean validation F1 {f1}, mean test F1 {test_f1}",
        f"  the file of seed {row['seed_of_file']}, the best of them on validation:",
    ]


def _figures(figures: Mapping[str, Any]) -> str:
    if not figures:
        return "-- (no clips)"
    low, high = figures["f1_interval"]
    return (
        f"{figures['f1']:.3f} (95 % interval {low:.3f} to {high:.3f} over {figures['num_recordings']} takes), "
        f"AUC {figures['auc']:.3f}; prevalence {figures['prevalence']:.2f}, "
        f"flagging everything F1 {figures['f1_flag_everything']:.3f}"
    )


def short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
