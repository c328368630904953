"""Notes that link a trial in the Optuna dashboard with its run in MLflow, and a study with its experiment.

In MLflow the note of a run links to the trial. In the dashboard the note of a study says what is searched and links to
its curves, and the note of a trial links to its run. A run's address is known once the run has reached the server, so
notes in the dashboard are written after that, or by the next call of the command. A note that a person has edited
stays.
"""

import warnings
from collections.abc import Mapping

import optuna
from optuna.storages import BaseStorage

from core.command_line import program_of
from hpo.search.study import OpenStudy, objective_name
from hpo.tracking.links import Pages, charts_link, run_link, study_link, trial_link
from hpo.tracking.target import NUMBER

HOW_TO_READ = (
    "In this dashboard: intermediate values, and the points of pruned trials in the history, are validation AUC. Of "
    "trials with equal values it calls the first the best; the study ranks them by AUC, then by fewer weights. The "
    "winner, which is the best of the finalists by its mean over several seeds, is named in the report."
)
_MOST_CHARACTERS = 2000
"""Characters of one attribute of a study in a database. The dashboard joins the parts of a note."""


def run_note(search: OpenStudy, pages: Pages) -> str:
    """Markdown for the runs of all trials, with NUMBER in place of the trial's number."""
    name, study_id = search.study.study_name, search.study._study_id
    if pages.dashboard is None:
        where = f"Trial {NUMBER} of study `{name}`: `optuna-dashboard {search.storage.name}` shows it."
    else:
        link = trial_link(pages.dashboard, study_id, NUMBER)
        where = f"[Trial {NUMBER} in the Optuna dashboard]({link}) of study `{name}`."
        where += (
            ""
            if search.storage.is_server
            else f" `{program_of('ui')}` serves it, and says so where it is at another port."
        )
    return (
        f"{where}\n\n`objective` is the {objective_name(search.study)} on validation at the epoch with the best "
        "validation AUC (tag `best_epoch`). Test figures choose nothing. Losses are bits per sample."
    )


def study_words(search: OpenStudy, pages: Pages) -> str:
    """The study's place in the dashboard, for MLflow's description of the experiment."""
    if pages.dashboard is None:
        return f"Importance and history: `optuna-dashboard {search.storage.name}`"
    return f"Importance and history: [Optuna dashboard]({study_link(pages.dashboard, search.study._study_id)})"


def write_notes(
    search: OpenStudy, pages: Pages, *, description: str, experiment_id: str | None, run_ids: Mapping[int, str]
) -> None:
    """Writes the notes that the dashboard does not have yet.

    `run_ids` are the known runs by the trial's number. Without an experiment nothing is known and nothing is written.
    This takes milliseconds and asks MLflow nothing.
    """
    if experiment_id is None:
        return
    study, backend = search.study, search.storage.backend
    attrs = backend.get_study_system_attrs(study._study_id)
    if _version_key(None) not in attrs:
        charts = f"[Curves of all trials in MLflow]({charts_link(pages.mlflow, experiment_id)})"
        write_note(backend, study._study_id, None, f"{charts}\n\n{description}\n\n{HOW_TO_READ}")
    if study.metric_names is None:
        name_objective(study, objective_name(study))
    trial_ids = {trial.number: trial._trial_id for trial in study.get_trials(deepcopy=False)}
    for number, run_id in run_ids.items():
        trial_id = trial_ids.get(number)
        if trial_id is not None and _version_key(trial_id) not in attrs:
            link = run_link(pages.mlflow, experiment_id, run_id)
            write_note(backend, study._study_id, trial_id, f"[The run in MLflow]({link}): curves, tags, files")


def write_note(backend: BaseStorage, study_id: int, trial_id: int | None, body: str) -> None:
    """Writes what optuna_dashboard.save_note writes for a new note, without the 1.5 s that its import takes."""
    prefix = "dashboard" if trial_id is None else f"dashboard:{trial_id}"
    for index, start in enumerate(range(0, len(body), _MOST_CHARACTERS)):
        backend.set_study_system_attr(study_id, f"{prefix}:note_str:{index}", body[start : start + _MOST_CHARACTERS])
    backend.set_study_system_attr(study_id, _version_key(trial_id), 1)


def _version_key(trial_id: int | None) -> str:
    return "dashboard:note_ver" if trial_id is None else f"dashboard:{trial_id}:note_ver"


def name_objective(study: optuna.Study, name: str) -> None:
    """Names the objective on the axes of the dashboard, in place of "Objective 0"."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study.set_metric_names([f"validation {name}"])
