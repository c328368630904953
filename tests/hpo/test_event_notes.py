from pathlib import Path

import pytest

from core.study_files import find_study_file
from hpo.event_notes import event_notes
from hpo.search.study_file import load_study_file
from tests.folder_files import listed, table, write


def notes(folder: Path, study: str, *, are_labelled: bool) -> str:
    """Of a study of one healthy recording and two faulty ones, with or without the places of the faults."""
    names = ("a.wav", "b.wav", "c.wav")
    for name in names:
        write(folder / name)
    table(folder / "events.csv", "b.wav,0.1,0.2", "c.wav,0.1,0.2", header="path,start_s,end_s")
    events = "events.csv" if are_labelled else ""
    rows = [f"{name},fan,{label},{events}" for name, label in zip(names, ("normal", "bad", "bad"), strict=True)]
    table(folder / "manifest.csv", *rows, header="path,machine,label,events")
    return "; ".join(event_notes(load_study_file(find_study_file(study)), listed(folder)))


@pytest.mark.parametrize(
    ("study", "are_labelled", "expected"),
    [
        ("any_machine", True, "of 2 recordings the events are labelled: --study any_events"),
        ("any_machine", False, ""),
        ("any_events", True, ""),
        ("any_events", False, "no events are labelled"),
        ("cars_spliced", False, ""),  # makes its own
        ("paper", True, ""),  # finds events by surprise
        ("paper", False, ""),
    ],
)
def test_a_study_that_does_not_suit_the_events_says_so(tmp_path, study, are_labelled, expected):
    said = notes(tmp_path, study, are_labelled=are_labelled)
    assert said.startswith(expected)
    assert bool(said) == bool(expected)
