"""comparison.json: rows come back as they were, from files of earlier versions, too."""

import json

import numpy as np
import pytest

from core.baselines.choice import Choice
from core.baselines.comparison import Row
from core.baselines.comparison_file import load_rows, rows_to_json
from core.baselines.paired_bootstrap import SplitDecisions
from core.decision.postprocess import PostprocessingConfig

ROW = Row(
    name="x",
    setup="4000 Hz",
    choice=Choice(
        score="surprise", postprocessing=PostprocessingConfig(window_ms=70.0), auc=0.9, f1=0.8, event_f1=None
    ),
    decisions=SplitDecisions(
        scores=np.array([0.5, -np.inf]),
        threshold=0.25,
        is_anomalous=np.array([True, False]),
        recording_ids=("a", "b"),
        machines=("fan", "fan"),
    ),
    num_weights=3,
    seconds_to_train=1.0,
    seconds_to_score=2.0,
    num_tried=1,
    seconds_of_tuning=3.0,
)


@pytest.mark.parametrize("key", ["decisions", "verdicts"])
def test_rows_come_back_from_files_of_either_key(key, tmp_path):
    (table,) = rows_to_json([ROW])
    table[key] = table.pop("decisions")
    (tmp_path / "comparison.json").write_text(json.dumps({"key": "", "rows": [table]}))
    (row,) = load_rows(tmp_path / "comparison.json")
    assert row.choice == ROW.choice
    np.testing.assert_array_equal(row.decisions.scores, ROW.decisions.scores)
    assert row.decisions.is_anomalous.tolist() == [True, False]
    assert (row.decisions.recording_ids, row.decisions.threshold) == (("a", "b"), 0.25)
