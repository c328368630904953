"""A study's name is free, is a study's, or is refused, also while another process makes the study's folder."""

import shutil
import threading
from pathlib import Path

import pytest

from core.errors import UserError
from core.whole_file import write_text
from hpo.search.study_folder import STUDY_FILE
from hpo.session.study_names import check_name

TIMES = 300


def test_a_folder_that_another_process_is_making_is_no_other_thing(tmp_path: Path) -> None:
    folder, is_over = tmp_path / "mine", threading.Event()

    def make_again_and_again() -> None:
        for number in range(TIMES):
            folder.mkdir()
            write_text(folder / STUDY_FILE, "{}")
            shutil.rmtree(folder.rename(tmp_path / f"gone-{number}"))
        is_over.set()

    maker = threading.Thread(target=make_again_and_again)
    maker.start()
    try:
        while not is_over.is_set():
            check_name("mine", runs=tmp_path)
    finally:
        maker.join()


@pytest.mark.parametrize("kind", ["file", "broken link", "folder of another"])
def test_another_thing_is_refused(tmp_path: Path, kind: str) -> None:
    place = tmp_path / "mine"
    if kind == "file":
        place.touch()
    elif kind == "broken link":
        place.symlink_to(tmp_path / "nowhere")
    else:
        place.mkdir()
        (place / "thesis.tex").touch()
    with pytest.raises(UserError, match="is no study's folder"):
        check_name("mine", runs=tmp_path)


@pytest.mark.parametrize("inside", ["", ".DS_Store", "study.json", "trials/0000/events.jsonl"])
def test_a_study_s_folder_and_an_empty_one_are_taken(tmp_path: Path, inside: str) -> None:
    (tmp_path / "mine").mkdir()
    if inside:
        (tmp_path / "mine" / inside).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "mine" / inside).touch()
    check_name("mine", runs=tmp_path)
