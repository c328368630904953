"""Optuna's storage on a server, PostgreSQL, which many machines share.

It waits for a server that is away: every call is repeated until the server answers, with one line when the waiting
begins and one when it ends. Two calls are not repeated by themselves, because the server may have done them before its
answer was lost: making a trial and making a study. `OpenStudy.claim_trial` is repeated as a whole instead.

It refuses what a process writes to a trial that it has lost. The token of the trial's owner (hpo/search/lease.py) is
compared in the transaction of the write and stays locked until its end, so nothing comes between the two. That the
check and Optuna's next call of the same thread are one transaction is internal to Optuna, and used here alone.
"""

import json
from collections.abc import Callable
from functools import wraps
from typing import Any

from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import RDBStorage
from optuna.storages._rdb.models import TrialUserAttributeModel
from sqlalchemy import Select, select

from hpo.search.patience import Patience

LEASE = "lease"
"""User attribute of a trial: the token of the process that works on it."""
_WRITES_TO_A_TRIAL = {
    "set_trial_intermediate_value", "_set_trial_param", "set_trial_state_values", "set_trial_system_attr",
    "set_trial_user_attr",
}  # fmt: skip
_REPEATED = (
    "check_trial_is_updatable", "get_all_studies", "get_all_trials", "get_n_trials", "get_study_directions",
    "get_study_id_from_name", "get_study_name_from_id", "get_study_system_attrs", "get_study_user_attrs", "get_trial",
    "get_trial_id_from_study_id_trial_number", "set_study_system_attr", "set_study_user_attr",
    "set_trial_intermediate_value", "_set_trial_param", "set_trial_state_values", "set_trial_system_attr",
    "set_trial_user_attr", "_get_trials", "_get_stale_trial_ids",
)  # fmt: skip


class LeaseLost(Exception):
    """Another process has taken over the trial that this one worked on."""


def _repeated(name: str) -> Callable[..., Any]:
    method = getattr(RDBStorage, name)

    @wraps(method)
    def call(self: "ServerStorage", *arguments: Any, **options: Any) -> Any:
        num_calls = 0

        def once() -> Any:
            nonlocal num_calls
            num_calls += 1
            if name in _WRITES_TO_A_TRIAL:
                self.check_owner(arguments[0] if arguments else options["trial_id"])
            try:
                return method(self, *arguments, **options)
            except UpdateFinishedTrialError:
                if num_calls == 1 or name != "set_trial_state_values":
                    raise
                return True  # the first call ended the trial, and its answer was lost

        return self.patience.call(once)

    return call


class ServerStorage(RDBStorage):
    """Optuna's storage on a server."""

    def __init__(self, url: str, *, patience: Patience, **options: Any) -> None:
        self.patience = patience
        self.tokens: dict[int, str] = {}
        """By id of a trial: the token of this process's lease."""
        super().__init__(url, **options)

    def check_owner(self, trial_id: int) -> None:
        """Raises LeaseLost where another process has taken over a trial of `tokens`. Locks its token until the end of
        the transaction, which is that of Optuna's next call in this thread."""
        if trial_id not in self.tokens:
            return
        session = self.scoped_session()
        try:
            if session.execute(_token_query(trial_id).with_for_update()).scalar() != json.dumps(self.tokens[trial_id]):
                raise LeaseLost
        except BaseException:
            session.close()
            raise

    def check_still_owner(self, trial_id: int) -> None:
        """Like `check_owner`, without a write that follows."""
        self.patience.call(lambda: self.check_owner(trial_id))
        self.scoped_session().close()

    def is_owner(self, trial_id: int, token: str) -> bool:
        """Whether the token is that of the trial's owner. Does not wait for a server that is away."""
        with self.engine.connect() as connection:
            return connection.execute(_token_query(trial_id)).scalar() == json.dumps(token)


def _token_query(trial_id: int) -> Select[Any]:
    attribute = TrialUserAttributeModel
    return select(attribute.value_json).where(attribute.trial_id == trial_id, attribute.key == LEASE)


for _name in _REPEATED:
    setattr(ServerStorage, _name, _repeated(_name))
