"""How long a study still takes: known from the start, corrected by what ends, finalists counted."""

import time

import pytest

from hpo.search.trial_record import TrialRecord
from hpo.terminal.time_left import Countdown, Pace, clock, duration


def ended(seconds: float, num_epochs: int = 5) -> TrialRecord:
    return TrialRecord(
        number=0,
        state="complete",
        objective=0.5,
        parameters={},
        epochs=[{"epoch": epoch} for epoch in range(1, num_epochs + 1)],
        facts={},
        failure=None,
        seconds=seconds,
    )


def left(pace: Pace, *records: TrialRecord, missing: int = 4, finalist_epochs: int = 0, done: int = 0) -> float | None:
    return pace.seconds_left(records, num_missing=missing, num_finalist_epochs=finalist_epochs, num_epochs_done=done)


def pace(estimate_s: float | None = 10.0, num_processes: int = 1) -> Pace:
    return Pace(num_processes=num_processes, epochs=5, estimate_s=estimate_s)


def test_the_measurement_says_it_before_a_trial_has_ended() -> None:
    assert left(pace()) == 40.0
    assert left(pace(num_processes=2)) == 20.0
    assert left(pace(None)) is None


def test_trials_that_share_trainings_are_short_and_finalists_are_not() -> None:
    shared = Pace(num_processes=1, epochs=5, estimate_s=10.0, trainings_a_trial=0.25)
    assert left(shared) == 10.0, "one training of four trials"
    assert left(shared, missing=0, finalist_epochs=10) == pytest.approx(20.0)


def test_ended_trials_correct_it() -> None:
    assert left(pace(), ended(20.0)) == pytest.approx(4 * 15.0)
    assert left(pace(None), ended(20.0)) == pytest.approx(4 * 20.0), "of a resumed study, without a measurement"


def test_finalists_count() -> None:
    assert left(pace(), finalist_epochs=10) == pytest.approx(40.0 + 20.0)
    assert left(pace(), missing=0, finalist_epochs=10, done=4) == pytest.approx(12.0)


def test_epochs_of_trials_that_run_are_taken_off() -> None:
    assert left(pace(), done=3) == pytest.approx(34.0)
    assert left(pace(), missing=0, done=3) == 0.0, "never below 0"


def test_pruned_trials_make_the_rest_shorter_and_finalists_not() -> None:
    assert left(pace(None), ended(4.0, num_epochs=2), finalist_epochs=5) == pytest.approx(4 * 4.0 + 5 * 2.0)


def test_it_runs_down_between_two_values() -> None:
    countdown = Countdown()
    assert countdown.at(10.0) == pytest.approx(10.0, abs=0.1)
    time.sleep(0.2)
    assert countdown.at(10.0) == pytest.approx(9.8, abs=0.1)
    assert countdown.at(20.0) == pytest.approx(20.0, abs=0.1)
    assert countdown.at(None) is None


def test_times_as_people_write_them() -> None:
    assert [clock(seconds) for seconds in (None, 0.4, 61, 3725)] == ["-:--:--", "0:00:00", "0:01:01", "1:02:05"]
    assert [duration(seconds) for seconds in (0.1, 42, 90, 9000)] == ["1 s", "42 s", "1.5 min", "2.5 h"]
