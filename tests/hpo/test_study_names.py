"""A study's name is free, is a study's, or is refused, also while another process makes the study's folder."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from core.errors import UserError
from core.whole_file import write_text
from hpo.search.study_folder import STUDY_FILE
from hpo.session.study_names import check_name

TIMES = 50


def test_a_folder_that_another_process_is_making_is_no_other_thing(tmp_path: Path) -> None:
    folder = tmp_path / "mine"

    def make_again_and_again() -> None:
        for number in range(TIMES):
            folder.mkdir()
            write_text(folder / STUDY_FILE, "{}")
            shutil.rmtree(folder.rename(tmp_path / f"gone-{number}"))

    with ThreadPoolExecutor(1) as pool:
        maker = pool.submit(make_again_and_again)
        while not maker.done():
            check_name("mine", runs=tmp_path)
        maker.result()


@pytest.mark.parametrize(
    "kind", ["file", "broken link", "loop", "folder of another", "hidden files", "a file named trials"]
)
def test_another_thing_is_refused(tmp_path: Path, kind: str) -> None:
    place = tmp_path / "mine"
    if kind == "file":
        place.touch()
    elif kind == "broken link":
        place.symlink_to(tmp_path / "nowhere")
    elif kind == "loop":
        place.symlink_to(place)
    else:
        place.mkdir()
        (place / {"folder of another": "thesis.tex", "hidden files": ".git"}.get(kind, "trials")).touch()
    with pytest.raises(UserError, match="is no study's folder"):
        check_name("mine", runs=tmp_path)


@pytest.mark.parametrize("inside", ["", ".4711.study.json", "study.json", "trials/0000/events.jsonl"])
def test_a_study_s_folder_and_an_empty_one_are_taken(tmp_path: Path, inside: str) -> None:
    (tmp_path / "mine").mkdir()
    if inside:
        (tmp_path / "mine" / inside).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "mine" / inside).touch()
    check_name("mine", runs=tmp_path)
