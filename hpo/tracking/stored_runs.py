"""Reads the runs of an experiment back from MLflow, to compare them with Optuna, and deletes superseded runs."""

from collections.abc import Sequence
from typing import Any

from hpo.tracking.errors import translated

_ALL = 3
"""MLflow's ViewType.ALL: active and deleted runs. Only hpo/tracking/mlflow.py imports MLflow."""
_RUNS_A_PAGE = 1000


class StoredRuns:
    """The runs of one experiment. Every method raises TryLater where the server does not answer."""

    def __init__(self, client: Any, experiment_id: str) -> None:
        """`client` is MLflow's."""
        self._client, self._experiment_id = client, experiment_id

    def read(self) -> list[Any]:
        """All runs, deleted ones included, with parameters, tags and the last value of every metric."""
        runs: list[Any] = []
        token = None
        while True:
            with translated():
                page = self._client.search_runs(
                    [self._experiment_id], run_view_type=_ALL, max_results=_RUNS_A_PAGE, page_token=token
                )
            runs += page
            token = page.token
            if not token:
                return runs

    def points(self, run_id: str, metric: str) -> Sequence[Any]:
        """Every point of a metric, with `step`, `value` and `timestamp`."""
        with translated():
            points: Sequence[Any] = self._client.get_metric_history(run_id, metric)
        return points

    def artifacts(self, run_id: str, folder: str = "") -> set[str]:
        """Paths of what lies in a folder of the run's artifacts."""
        with translated():
            return {file.path for file in self._client.list_artifacts(run_id, folder or None)}
