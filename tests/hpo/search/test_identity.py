"""A study that is resumed with other settings is refused with the assignments that keep its own."""

import re
from pathlib import Path

import pytest

from core.errors import UserError
from hpo.search.identity import check_identity, identity_of
from hpo.search.study_file import load_study_file

TINY = Path(__file__).resolve().parents[3] / "tests/data/tiny.toml"


def refusal(was: list[str], now: list[str], *, data: str = "f00") -> str:
    before = identity_of(load_study_file(TINY, was), data_fingerprint="f00")
    with pytest.raises(UserError, match=r"^Study 'it' must keep the space and the data") as error:
        check_identity("it", before, identity_of(load_study_file(TINY, now), data_fingerprint=data))
    return str(error.value)


@pytest.mark.parametrize(
    "was",
    [
        ["training.epochs=5"],
        ["threshold_sigmas=3"],
        ["objective=f1", "training.epochs=1", "window_ms=300"],
        ["postprocessing.hysteresis_sigmas=0.5"],
        ["sampler.lag=0"],  # as those of before there was one
        ["network.precision=bfloat16"],
    ],
)
def test_the_assignments_that_are_named_keep_the_study(was: list[str]) -> None:
    named = re.findall(r"--set (\S+=[^\s,]+)", refusal(was, []))
    kept = identity_of(load_study_file(TINY, named), data_fingerprint="f00")
    check_identity("it", identity_of(load_study_file(TINY, was), data_fingerprint="f00"), kept)


def test_an_option_that_the_study_was_made_without_is_kept_away() -> None:
    assert "weight_decay was 0 and is 0.2. Keep it with --set training.weight_decay=0," in refusal(
        [], ["training.weight_decay=0.2"]
    )


def test_a_fold_s_study_is_kept_by_the_number_of_folds() -> None:
    was, now = (
        identity_of(load_study_file(TINY, [f"split.folds={folds}"]), data_fingerprint="f00") for folds in (3, 4)
    )
    with pytest.raises(UserError, match=r"split\.folds was 3 and is 4\. Keep it with --folds 3, give"):
        check_identity("it.fold2", was, now)
    with pytest.raises(UserError, match=r"Keep it with --set split\.folds=3, give"):
        check_identity("it.folded", was, now)


@pytest.mark.parametrize(
    ("now", "data"), [(["threshold_sigmas=3"], "f00"), ([], "f11"), (["training.epochs=3"], "f11")]
)
def test_none_are_named_where_none_would_do(now: list[str], data: str) -> None:
    """What is searched there and fixed here, and other data."""
    assert "--set" not in refusal([], now, data=data)


def test_other_recordings_are_named_before_what_a_study_file_leaves_to_them() -> None:
    assert "but data_fingerprint was 'f00' and is 'f11'" in refusal([], ["split.calibration=parts"], data="f11")
    assert "but data_options.channels was None and is 'mix'" in refusal([], ["data.channels=mix"], data="f11")


def test_a_parameter_that_an_earlier_version_searched_is_no_error_of_ours() -> None:
    now = identity_of(load_study_file(TINY, []), data_fingerprint="f00")
    was = now | {"space": now["space"] | {"forgotten": {"low": 1, "high": 2}}}
    with pytest.raises(UserError, match=r"space\.forgotten\.high was 2 and is None\. Give the new search"):
        check_identity("it", was, now)


def test_a_promise_that_is_added_or_left_out_is_named() -> None:
    promise = "threshold.false_alarms=0.05"
    for was, now in (([promise], []), ([], [promise])):
        assert "A promise about false alarms ([threshold]) takes threshold_sigmas out of the space" in refusal(was, now)
