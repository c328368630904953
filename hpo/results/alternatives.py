"""--compare: compares the study's winner with its alternatives. Each may be tuned for as long as the search took.

The decisions on the test clips are kept in `runs/<study>/comparison.json`, and are made again only for another winner.
The same command, after an interruption, trains only the alternatives that are missing.
The winner is compared as it is handed over: with its own score, post-processing and threshold. The alternatives' are
chosen by core/baselines/choice.py, which says what the two rules have in common.
"""

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from core.baselines import families
from core.baselines.choice import ScoredDataset, as_it_is
from core.baselines.comparison import Row, compare, row_of
from core.baselines.comparison_file import rows_from_json, rows_to_json
from core.baselines.comparison_table import as_markdown, lines_of
from core.command_line import counted
from core.damaged_file import put_aside
from core.data.dataset import Dataset
from core.data.judged_clips import JUDGED
from core.decision.checkpoint import Detector, load_detector
from core.decision.score_file import load_scores
from core.experiment import SCORES_FILE
from core.model.frontend import FrontEndConfig
from core.model.scored_training import encoded_clips
from core.model.scoring import INNOVATIONS, score_clips
from core.thread_pool import ThreadPool
from core.whole_file import write_text
from hpo.search.data_by_rate import Datasets
from hpo.search.study import OpenStudy
from hpo.search.trial_record import TrialRecord, trial_records

COMPARISON_FILE = "comparison.json"
UNFINISHED_FILE = "comparison.unfinished.json"
WAVENET = "WaveNet"
FORMAT = 6
"""Format of both files, and of what benchmarks keep. Raise it when a change compares the same detectors in another
way, as by other choices."""


def kept_comparison(search: OpenStudy, winner: Mapping[str, Any]) -> list[Row]:
    """The rows of the file, WaveNet's first. Empty without a file, and where it is of another winner or damaged."""
    return _kept(COMPARISON_FILE, search, winner)


def _kept(name: str, search: OpenStudy, winner: Mapping[str, Any]) -> list[Row]:
    path = search.directory / name
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        return rows_from_json(table["rows"]) if table["key"] == _key(search, winner) else []
    except FileNotFoundError:
        return []
    except (ValueError, KeyError, TypeError):
        put_aside(path, what_follows="is made again with --compare")
        return []


def compare_winner(
    search: OpenStudy, datasets: Datasets, winner: Mapping[str, Any], *, say: Callable[[str], None]
) -> list[Row]:
    """Returns the rows of the file where it is of this winner, and else compares and writes it. Says the table."""
    rows = kept_comparison(search, winner) or _compared(search, datasets, winner, say=say)
    say(as_markdown(lines_of([rows])))
    return rows


def _compared(
    search: OpenStudy, datasets: Datasets, winner: Mapping[str, Any], *, say: Callable[[str], None]
) -> list[Row]:
    budget_s = sum(record.seconds or 0.0 for record in trial_records(search.study))
    say(
        f"Comparing the winner with alternatives; each may be tuned for {budget_s / 60:.1f} min, as the trials took, "
        "and ends the variant that it has begun."
    )
    rows = _kept(UNFINISHED_FILE, search, winner)
    if rows and rows[0].seconds_of_tuning != budget_s:  # the search has gone on since
        rows = []
    if rows:
        say(f"  {', '.join(row.name for row in rows)}: compared before")
    rows = rows or [_wavenet_row(search, datasets, winner, seconds_of_tuning=budget_s)]
    compared = {row.name for row in rows}
    missing = {name: variants for name, variants in families().items() if name not in compared}
    for row in compare(_choices_of_data(search, datasets), missing, seed=search.spec.seed, budget_s=budget_s):
        say(f"  {row.name}: {counted(row.num_tried, 'variant')} in {row.seconds_of_tuning:.0f} s")
        rows.append(row)
        _write(UNFINISHED_FILE, rows, search, winner)
    _write(COMPARISON_FILE, rows, search, winner)
    (search.directory / UNFINISHED_FILE).unlink(missing_ok=True)
    return rows


def _write(name: str, rows: Sequence[Row], search: OpenStudy, winner: Mapping[str, Any]) -> None:
    table = {"key": _key(search, winner), "rows": rows_to_json(rows)}
    write_text(search.directory / name, json.dumps(table) + "\n")


def _key(search: OpenStudy, winner: Mapping[str, Any]) -> str:
    checkpoint = (search.directory / winner["checkpoint"]).read_bytes()
    rest = f"{FORMAT} {winner['threshold_sigmas']} {_rates(search)}"
    return hashlib.sha256(checkpoint + rest.encode()).hexdigest()


def _choices_of_data(search: OpenStudy, datasets: Datasets) -> list[Dataset]:
    """One dataset for each rate; where the study perturbs speed, also one without."""
    at_rates = [datasets.at(rate) for rate in _rates(search)]
    return at_rates + [dataset.as_recorded for dataset in at_rates if dataset.config.speed_perturbation]


def _rates(search: OpenStudy) -> Sequence[int]:
    return search.spec.compare.sample_rates_hz or search.space.read_rates_hz


def _wavenet_row(search: OpenStudy, datasets: Datasets, winner: Mapping[str, Any], *, seconds_of_tuning: float) -> Row:
    """The winner as it is handed over, from its stored frame scores."""
    checkpoint = search.directory / winner["checkpoint"]
    detector = load_detector(checkpoint).with_threshold(winner["threshold_sigmas"])
    scored = load_scores(checkpoint.parent / SCORES_FILE)
    rate, records = detector.front_end.config.sample_rate_hz, trial_records(search.study)
    dataset, frame_samples = datasets.at(detector.front_end.config.read_rate_hz), detector.scoring.frame_samples(rate)
    wavenet = ScoredDataset(
        name=WAVENET,
        setup=f"{_hearing(detector.front_end.config)}, {len(detector.model.config.dilations)} layers",
        scores={
            kind: {name: clips.scores.of(kind) for name, clips in scored.items()}
            for kind in scored["validation"].scores.kinds
        },
        frame_ms=1000 * frame_samples / rate,
        first_s=detector.context_samples / rate,
        num_weights=detector.model.num_weights,
        seconds_to_train=_seconds_to_train(records[winner["trial"]], search),
        seconds_to_score=_seconds_to_score(detector, dataset, frame_samples),
    )
    choice = as_it_is(wavenet, dataset.judged(), detector.scoring.score, detector.statistic.config)
    return row_of(wavenet, choice, dataset.judged(), num_tried=len(records), seconds_of_tuning=seconds_of_tuning)


def _hearing(config: FrontEndConfig) -> str:
    spectrum = "" if config.decimation == 1 else f", spectrum {config.read_rate_hz} Hz"
    return f"{config.sample_rate_hz} Hz{spectrum}"


def _seconds_to_train(record: TrialRecord, search: OpenStudy) -> float:
    """Time of the trial's training, also where another trial trained it."""
    return sum(search.spec.training.seconds_per_epoch / row["audio_seconds_per_second"] for row in record.epochs)


def _seconds_to_score(detector: Detector, dataset: Dataset, frame_samples: int) -> float:
    """Time for all judged clips, on one thread as for the alternatives."""
    started = time.perf_counter()
    with ThreadPool(1) as pool:
        for name in JUDGED:
            score_clips(
                detector.model,
                encoded_clips(detector.front_end, dataset.judged()[name]),
                context_samples=detector.context_samples,
                frame_samples=frame_samples,
                sample_rate_hz=detector.front_end.config.sample_rate_hz,
                with_statistics=detector.scoring.score == INNOVATIONS,
                pool=pool,
            )
    return time.perf_counter() - started
