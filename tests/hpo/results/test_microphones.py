"""How well each microphone alone tells clips apart."""

from dataclasses import replace

import numpy as np

from core.decision.score_file import ScoredClips
from core.decision.statistic import Judgement
from hpo.pages.winner_tables import microphones_table
from hpo.results.judged_trial import JudgedTrial
from hpo.results.microphones import microphone_rows
from hpo.results.missed_faults import SPLITS
from tests.frame_scores import frame_scores
from tests.small_detector import make_detector

NUM_CLIPS, NUM_FRAMES = 8, 40
IS_ANOMALOUS = np.arange(NUM_CLIPS) % 2 == 1


def trial() -> JudgedTrial:
    """Its first microphone hears every fault, its second none, and is louder in healthy clips."""
    hears, does_not = (5.0 * flags[:, None] + np.zeros(NUM_FRAMES) for flags in (IS_ANOMALOUS, ~IS_ANOMALOUS))
    channel_sigmas = np.stack([hears, does_not], axis=1)
    names = tuple(f"take {index}" for index in range(NUM_CLIPS))
    clips = ScoredClips(
        scores=frame_scores(channel_sigmas), recording_ids=names, machines=("car1",) * NUM_CLIPS, conditions=names,
        is_anomalous=IS_ANOMALOUS,
    )  # fmt: skip
    judgement = Judgement(sigmas=hears, channel_sigmas=channel_sigmas, thresholds=hears, clip_scores=hears.max(axis=1))
    return JudgedTrial(
        detector=make_detector(), scored=dict.fromkeys(SPLITS, clips), judged=dict.fromkeys(SPLITS, judgement)
    )


def test_each_has_the_area_of_what_it_alone_hears_and_its_number_in_the_recordings() -> None:
    rows = microphone_rows(trial())
    assert [row["microphone"] for row in rows] == [2, 5]
    assert [row["test"]["auc"] for row in rows] == [1.0, 0.0]
    assert [row["validation"]["auc"] for row in rows] == [1.0, 0.0]
    low, high = rows[0]["test"]["auc_interval"]
    assert 0 < low < high == 1


def test_without_an_anomalous_clip_there_is_no_area() -> None:
    found = trial()
    healthy = replace(found.scored["test"], is_anomalous=np.zeros(NUM_CLIPS, bool))
    (row, _) = microphone_rows(replace(found, scored=found.scored | {"test": healthy}))
    assert np.isnan([row["test"]["auc"], *row["test"]["auc_interval"]]).all()
    assert row["validation"]["auc"] == 1


def test_the_table_begins_with_all_together() -> None:
    figures = {split: {"auc": 0.75, "auc_interval": (0.5, 0.9)} for split in SPLITS}
    table = microphones_table(figures | {"microphones": microphone_rows(trial())})
    assert [[cell.text for cell in row.cells] for row in table.rows] == [
        ["all together", "0.750", "0.750"],
        ["2", "1.000", "1.000"],
        ["5", "0.000", "0.000"],
    ]


def test_of_one_microphone_there_is_no_table() -> None:
    assert microphone_rows(replace(trial(), detector=replace(make_detector(), channels=(5,)))) == []
