"""The lines that the command says before and during a search."""

import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from optuna.trial import TrialState

from core.baselines import families
from core.command_line import counted, program_of
from core.data.recordings import Skipped
from core.model.frontend import FrontEndConfig
from core.model.wavenet_config import describe
from hpo.event_notes import event_notes
from hpo.results.finalists import open_finalists
from hpo.results.winner import highest
from hpo.search.estimate import OTHER_PRECISION, Estimate
from hpo.search.parameters import UNJUDGED_BY_INJECTED_FAULTS, describe_range
from hpo.search.study import OpenStudy
from hpo.search.study_spec import OBJECTIVES
from hpo.search.trial_context import TrialEnd
from hpo.search.trial_record import TrialRecord
from hpo.session.inputs import StudyInputs
from hpo.session.session import Session
from hpo.terminal.time_left import duration
from hpo.tracking.links import charts_link, study_link

MAX_LEFT_OUT_LINES = 10
LARGEST_SHARE_TO_SAY = 0.9
"""Of the time of a trial, that another precision of products takes."""


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
        f"            clips of {dataset.config.clips.clip_seconds:g} s, {counted(dataset.num_channels, 'channel')} "
        f"at {_rates(spec.front_end)}",
        *(f"            {note}" for note in (*dataset.notes, *event_notes(spec, inputs.corpus))),
        *(f"            {line}" for line in _left_out(dataset.skipped())),
        f"  searched  {'; '.join(searched)}",
        *(f"            {line}" for line in _kept_at_default(inputs)),
        f"  networks  from {sizes[0]} to {sizes[1]}",
        trials_line(inputs),
    ]


def _rates(front_end: FrontEndConfig) -> str:
    """Of the default configuration, in words."""
    heard = "" if front_end.decimation == 1 else f", of which the network hears {front_end.sample_rate_hz} Hz"
    return f"{front_end.read_rate_hz} Hz{heard}"


def _kept_at_default(inputs: StudyInputs) -> list[str]:
    promised = ["threshold_sigmas is set after the choice, by the promise about false alarms"]
    return [*(promised if inputs.spec.threshold else []), *_unjudged(inputs)]


def _unjudged(inputs: StudyInputs) -> list[str]:
    if "faults" not in inputs.dataset.stand_ins():
        return []
    names = [name for name in UNJUDGED_BY_INJECTED_FAULTS if name in inputs.space.distributions]
    return [f"{name} keeps its default, because injected faults cannot tell which is best" for name in names]


def _left_out(skipped: Sequence[Skipped]) -> list[str]:
    lines = [f"left out: {each.name}: {each.reason}" for each in skipped[:MAX_LEFT_OUT_LINES]]
    others = len(skipped) - len(lines)
    return [*lines, f"and {others} more, which {program_of('survey')} lists"] if others else lines


def estimate_lines(inputs: StudyInputs, num_trials: int, estimate: Estimate, *, compares: bool) -> list[str]:
    """How long `num_trials` trials, the finalists and, where the study `compares`, the alternatives take; `estimate` is
    of one trial that trains. Before the first trial also whether another precision is faster."""
    num_trainings = inputs.space.num_trainings(num_trials)
    rounds = max(1.0, num_trials / inputs.num_workers)
    if num_trainings < num_trials:  # those who wait for a training are done with it
        rounds = math.ceil(num_trainings / inputs.num_workers)
    seconds = [rounds * each for each in (estimate.default, estimate.smallest, estimate.largest)]
    words = [duration(each) for each in seconds]
    finalists = seconds_of_finalists(inputs, estimate.default)
    line = (
        f"  estimate  {words[0]} for {counted(num_trials, 'trial')} of the default network, none pruned "
        f"({words[1]} of the smallest, {words[2]} of the largest)"
        f"{f', then {duration(finalists)} for the finalists' if finalists else ''}"
        f"{_of_alternatives(inputs, estimate.default) if compares else ''}; "
        f"{inputs.device}, {_processes(inputs)}"
    )
    return [line, *(_of_precision(inputs, estimate) if num_trials == inputs.total else ())]


def _of_precision(inputs: StudyInputs, estimate: Estimate) -> list[str]:
    """Which precision of the network's products is faster here, where the study has the other one."""
    seconds = estimate.largest_in_other_precision
    if seconds is None or seconds > LARGEST_SHARE_TO_SAY * estimate.largest:
        return []
    other = OTHER_PRECISION[inputs.spec.network.precision]
    return [
        f"            the largest takes {seconds / estimate.largest:.2f} of this with products in {other}: "
        f"--fresh --set network.precision={other} begins the study so"
    ]


def _of_alternatives(inputs: StudyInputs, trial_s: float) -> str:
    """Each may be tuned for as long as the trials take one after the other."""
    trials_s, num = inputs.space.num_trainings(inputs.total) * trial_s, len(families())
    each = f"{num} alternatives, each as long as the trials one after the other"
    return f", then about {duration(num * trials_s)} for --compare ({each})"


def _processes(inputs: StudyInputs) -> str:
    threads = counted(inputs.pool.num_threads, "thread")
    return f"1 process of {threads}" if inputs.num_workers == 1 else f"{inputs.num_workers} processes of {threads} each"


def seconds_of_finalists(inputs: StudyInputs, trial_s: float) -> float:
    """Of all trainings of finalists, where a trial of the search takes `trial_s`."""
    epochs = inputs.spec.training.epochs
    factor = inputs.spec.finalists.epochs(epochs) / epochs
    return inputs.num_finalist_trainings * trial_s * factor / inputs.num_workers


def trials_line(inputs: StudyInputs) -> str:
    """How many trials the study has, over how many trainings where they share some, and those of the finalists."""
    num_trainings = inputs.space.num_trainings(inputs.total)
    shared = f" over {counted(num_trainings, 'training')}" if num_trainings < inputs.total else ""
    if not inputs.num_finalist_trainings:
        return f"  trials    {inputs.total}{shared}; the best wins, if it beats trial 0 by more than one standard error"
    config, trainings = inputs.spec.finalists, counted(inputs.num_finalist_trainings, "training")
    return (
        f"  trials    {inputs.total}{shared}, then {trainings} of the finalists: "
        f"the best {min(config.count, inputs.total)} with {counted(config.new_seeds, 'new seed')} each "
        "(--no-finalists skips them)"
    )


def finalists_line(num_finalists: int, num_trainings: int, seconds: float | None, *, objective: str) -> str:
    """Said before the first training of a finalist."""
    about = f", about {duration(seconds)}" if seconds is not None else ""
    verb = "is" if num_finalists == 1 else "are"
    return (
        f"Finalists: the best {counted(num_finalists, 'trial')} {verb} trained again with new seeds "
        f"({counted(num_trainings, 'training')}{about}), because one training may have been lucky. "
        f"The best mean {objective} on validation wins, unless trial 0 is among them within one standard error."
    )


def trial_line(end: TrialEnd, best: TrialRecord | None, *, objective: str) -> str:
    """One ended trial, and the best of the search so far; its own value where none is given, as for a finalist's
    training, which the objective ranks among its seeds. `objective` is its name."""
    head = f"{end.name}  {end.state.name.lower():8}"
    if end.state is TrialState.FAIL:
        return f"{head}  {end.failure}"
    facts = end.facts
    return (
        f"{head}  val F1 {facts['val_f1']:.3f}  val AUC {facts['val_auc']:.3f}  test F1 {facts['test_f1']:.3f}"
        f"  {facts['num_layers']:2d} layers  {facts['num_weights']:6d} weights"
        f"{f'  best {objective} {best.objective:.3f} (trial {best.number})' if best else _own(end, objective)}"
        f"{f'  ({end.stopped})' if end.stopped else ''}"
    )


def _own(end: TrialEnd, objective: str) -> str:
    """Nothing where the objective is plain F1, which the line has anyway."""
    if end.objective is None or objective == OBJECTIVES["f1"]:
        return ""
    return f"  val {objective} {end.objective:.3f}"


def timeout_line(search: OpenStudy, total: int, *, minutes: float) -> str:
    """Said at the end of a command that its --timeout has stopped."""
    ended = f"{search.num_ended()} of {counted(total, 'trial')}"
    companion = open_finalists(search) if search.num_ended() >= total else None
    if companion is not None:
        num_trainings = len(companion.plan)
        ended += f" and {num_trainings - companion.num_missing()} of {counted(num_trainings, 'training')} of finalists"
    return f"Stopped by --timeout of {minutes:g} min: {ended} have ended. The same command resumes the study."


def failed_finalists_line(num_failed: int, num_trainings: int) -> str:
    """Said after the trainings of the finalists, where some have failed."""
    if num_failed == num_trainings:
        return "warning: All trainings of the finalists failed, so the trials of the search decide."
    failed = f"{num_failed} of {counted(num_trainings, 'training')} of the finalists"
    return f"warning: {failed} failed. A failed training counts as 0 in the mean of its finalist."


def resumed_line(ended: Sequence[TrialRecord], total: int, *, objective: str) -> str:
    """What an earlier call of the command has done; for a study with at least one ended trial."""
    best = highest(ended)
    found = f", best {objective} {best.objective:.3f} (trial {best.number})" if best else ""
    return f"  resumed   {len(ended)} of {total} trials have ended{found}"


def where_to_look(session: Session) -> list[str]:
    """Where records go, and the addresses of their pages or the commands that open them."""
    search, target, mlflow = session.search, session.target, _mlflow(session)
    dashboard = _command("optuna-dashboard", search.storage.name)
    if search.storage.name == str(search.directory.parent / "optuna.journal"):
        dashboard = program_of("ui")
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
        return program_of("ui")
    return _command("mlflow ui --backend-store-uri", target.safe_uri)


def _command(program: str, store: str) -> str:
    return f"{os.path.relpath(Path(sys.executable).parent)}/{program} {store}"


def curves_line(session: Session, experiment_id: str) -> str:
    """The link to the test loss of every trial by epoch. The experiment's id is known once MLflow has answered."""
    link = charts_link(session.pages.mlflow, experiment_id)
    return f"  curves    {link if session.target.uri.startswith('http') else f'{_mlflow(session)}, then {link}'}"
