"""The saved view of a study's page in MLflow: its charts and columns. MLflow keeps it in an experiment's tag.

Without it the page shows charts in alphabetical order, only the ten newest runs, and no figures in its table. The
format is that of "Save as new view" in MLflow 3.17: the view is listed under "Views" on the page, and a link with its
key (hpo/tracking/links.py) opens it. MLflow 2.22 expects a complete state in the tag, or its page stays empty, so the
tag also holds a plain state that shows every run. Both versions were tested in a browser.
"""

import base64
import json
import time
import zlib
from collections.abc import Sequence
from typing import Any

VIEW_KEY = "trials"
VIEW_TAG = f"mlflow.sharedViewState.{VIEW_KEY}"
VIEW_NAME = "All trials by epoch"
CHARTS = ("test_loss", "val_loss", "test_f1", "val_f1", "test_auc", "val_auc")
"""In this order. MLflow adds the charts of all other metrics below them."""
METRIC_COLUMNS = ("objective", "val_auc", "test_f1", "test_auc", "test_loss")
_SECTION = "epochs"
_PLAIN_STATE: dict[str, Any] = {
    "searchFilter": "",
    "orderByKey": "attributes.start_time",
    "orderByAsc": False,
    "startTime": "ALL",
    "lifecycleFilter": "Active",
    "modelVersionFilter": "All Runs",
    "datasetsFilter": [],
    "selectedColumns": ["attributes.`Duration`", "metrics.`objective`"],
    "columnOrder": [],
    "columnWidths": {},
    "runsExpanded": {},
    "runsPinned": [],
    "runsHidden": [],
    "runsVisibilityMap": {},
    "runsHiddenMode": "SHOW_ALL",
    "viewMaximized": False,
    "runListHidden": False,
    "isAccordionReordered": False,
    "useGroupedValuesInCharts": True,
    "hideEmptyCharts": True,
    "groupBy": None,
    "groupsExpanded": {},
    "autoRefreshEnabled": True,
    "globalLineChartConfig": {"xAxisKey": "step", "lineSmoothness": 0, "selectedXAxisMetricKey": ""},
}
_MOST_CHARACTERS = 5000
"""The longest tag of an experiment that MLflow accepts."""


def saved_view(parameters: Sequence[str]) -> dict[str, str]:
    """The experiment's tag. `parameters` are the names of those searched: each is a column of the table."""
    state = json.dumps(_view_state(parameters), separators=(",", ":")).encode()
    now_ms = time.time_ns() // 1_000_000
    view = {
        **_PLAIN_STATE,
        "name": VIEW_NAME,
        "createdAt": now_ms,
        "updatedAt": now_ms,
        "state": f"deflate;{base64.b64encode(zlib.compress(state)).decode()}",
    }
    text = json.dumps(view)
    assert len(text) <= _MOST_CHARACTERS, f"the view takes {len(text)} characters"
    return {VIEW_TAG: text}


def _view_state(parameters: Sequence[str]) -> dict[str, Any]:
    columns = [
        *(f"metrics.`{name}`" for name in METRIC_COLUMNS),
        *(f"params.`{name}`" for name in parameters),
        "attributes.`Duration`",
    ]
    return {
        "runsHiddenMode": "SHOW_ALL",
        "compareRunCharts": [_line_chart(metric) for metric in CHARTS],
        "compareRunSections": [
            {"uuid": _SECTION, "name": "Every trial, by epoch", "display": True, "isReordered": True, "columns": 2}
        ],
        "isAccordionReordered": True,
        "selectedColumns": columns,
        "columnOrder": columns,
        "orderByKey": "attributes.start_time",
        "orderByAsc": False,
    }


def _line_chart(metric: str) -> dict[str, Any]:
    """As if MLflow had made it, so that it makes no second one of the metric."""
    return {
        "type": "LINE",
        "uuid": f"chart-{metric}",
        "metricSectionId": _SECTION,
        "metricKey": metric,
        "displayName": metric,
        "isGenerated": True,
        "deleted": False,
        "xAxisKey": "step",
        "yAxisKey": "metric",
        "xAxisScaleType": "linear",
        "scaleType": "linear",
        "lineSmoothness": 0,
        "range": {},
        "yAxisExpressions": [],
        "useGlobalXaxisKey": True,
        "useGlobalLineSmoothing": True,
    }
