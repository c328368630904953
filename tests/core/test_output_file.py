"""A command's output file: no recording is replaced by one, whatever a shell made of a pattern."""

from pathlib import Path

import pytest

from core.errors import UserError
from core.output_file import check_output


@pytest.mark.parametrize("name", ["take.wav", "TAKE.FLAC", "new.m4a"])
def test_an_output_that_is_named_as_a_recording_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match=rf"^--csv must not be named as a recording, .* but got .*{name}\."):
        check_output(tmp_path / name, option="--csv")
    assert not list(tmp_path.iterdir())


def test_neither_is_a_recording_replaced_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "take.wav").write_bytes(b"sound")
    (tmp_path / "events.csv").symlink_to("take.wav")
    with pytest.raises(UserError, match="must not be named as a recording"):
        check_output(tmp_path / "events.csv", option="--csv")


def test_other_names_are_taken(tmp_path: Path) -> None:
    for name in ("events.csv", "page.html", "no-suffix"):
        check_output(tmp_path / name, option="--csv")
