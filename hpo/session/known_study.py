"""What the storage knows of a study before its recordings are decoded, so that a study that cannot be resumed is
refused then. --rerun and --page take the study's own settings from there.
"""

from argparse import Namespace
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna

from core.assignments import assigned_key
from core.errors import UserError
from core.sources import known_options
from hpo.search.identity import DATA_FINGERPRINT, IDENTITY, check_identity, check_trial_format, identity_of, value_at
from hpo.search.parameters import PARAMETERS
from hpo.search.storage import StudyStorage
from hpo.search.storage_setting import SQLITE, resolve_storage
from hpo.search.study import names_of_searches
from hpo.search.trial_record import trial_records
from hpo.session.inputs import ListedInputs, open_corpus
from hpo.terminal.console import Console


def open_known_storage(options: Namespace, root: Path) -> StudyStorage | None:
    """None where its file is not there yet: it is made when the recordings have been decoded."""
    setting = resolve_storage(options.storage, project_root=root)
    path = setting.value
    if path.startswith(SQLITE):
        path = path.removeprefix(SQLITE).partition("?")[0]
    if "://" not in path and not Path(path).exists():
        return None
    return StudyStorage(setting.value, patience_minutes=options.patience)


def with_known_study(
    listed: ListedInputs, options: Namespace, storage: StudyStorage | None, console: Console
) -> ListedInputs:
    """The inputs; with the study's own settings for --rerun and --page.

    UserError where the study has other settings or data, and where --rerun or --page name a trial that it lacks.
    """
    study = _load(listed.name, storage)
    if options.rerun is None and options.page is None:
        if study is not None and IDENTITY in study.user_attrs and not options.fresh:
            check_identity(listed.name, study.user_attrs[IDENTITY], _identity(listed))
        return listed
    if study is None or IDENTITY not in study.user_attrs:
        known = names_of_searches(storage) if storage else []
        raise UserError(
            "The study must have been run before its trials are seen, but there is no study of that name "
            f"({listed.name}). Known: {', '.join(known) or 'none'}."
        )
    _check_trial(study, options)
    return _with_own_settings(listed, study.user_attrs[IDENTITY], options, console)


def _load(name: str, storage: StudyStorage | None) -> optuna.Study | None:
    if storage is None:
        return None
    try:
        return optuna.load_study(study_name=name, storage=storage.backend)
    except KeyError:
        return None


def _identity(listed: ListedInputs) -> dict[str, Any]:
    return identity_of(listed.spec, data_fingerprint=listed.corpus.fingerprint)


def _check_trial(study: optuna.Study, options: Namespace) -> None:
    records = trial_records(study)
    if options.page is not None and options.page not in [record.number for record in records if record.epochs]:
        raise UserError(f"The trial must be one of the study's that has ended an epoch, but got {options.page}.")
    if options.rerun is not None and options.rerun not in [record.number for record in records if record.parameters]:
        raise UserError(f"--rerun must be a trial of the study, but got {options.rerun}.")


def _with_own_settings(
    listed: ListedInputs, was: Mapping[str, Any], options: Namespace, console: Console
) -> ListedInputs:
    spec, option = listed.spec.with_identity(was), "--page" if options.rerun is None else "--rerun"
    _check_repeated(listed, was, options, option)
    has_its_options = set(spec.data) <= {"source", *known_options(spec.data["source"])}  # else it is of another kind
    is_listed = spec.data == listed.spec.data or not has_its_options
    corpus = listed.corpus if is_listed else open_corpus(spec, options, console)
    found = replace(listed, spec=spec, corpus=corpus)
    check_trial_format(listed.name, was, _identity(found))
    if corpus.fingerprint != was[DATA_FINGERPRINT]:
        raise UserError(
            f"{option} must read the recordings that study {listed.name!r} was made with, but {DATA_FINGERPRINT} was "
            f"{was[DATA_FINGERPRINT]!r} and is {corpus.fingerprint!r}. Name the study's own with --data."
        )
    return found


def _check_repeated(listed: ListedInputs, was: Mapping[str, Any], options: Namespace, option: str) -> None:
    """UserError where --set gives another value than the study has."""
    now = _identity(listed)
    for key in [assigned_key(text, PARAMETERS) for text in options.set]:
        before, after = value_at(was, key), value_at(now, key)
        if before != after:
            raise UserError(
                f"--set must give {key} as study {listed.name!r} has it, because {option} takes the study's own "
                f"settings, but it was {before!r} and is {after!r}. Leave it out."
            )
