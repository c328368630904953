"""What a study came to over the folds of its takes, as one self-contained page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.baselines.comparison_table import Line
from hpo.pages.comparison_section import comparison_section
from hpo.pages.web_page import (
    TEST_NOTE,
    Column,
    Row,
    document,
    escaped,
    number_cell,
    paragraph,
    section,
    table,
    text_cell,
)

COLUMNS = ("validation_f1", "validation_auc", "test_f1", "test_auc")
TITLES = ("validation F1", "validation AUC", "test F1", "test AUC")


@dataclass(frozen=True, kw_only=True)
class Spread:
    """A figure over folds."""

    mean: float
    deviation: float
    """Of a single fold (n - 1)."""
    values: tuple[float, ...]


def folds_page(
    name: str, results: Sequence[Mapping[str, Any]], spreads: Mapping[str, Spread], lines: Sequence[Line]
) -> str:
    """The folds' winners with mean and deviation, and the alternatives over all folds where they were compared."""
    head = f'<section><p class="kicker">Report of folds</p><h1>{escaped(name)}</h1></section>'
    body = [
        head,
        section("The winner of each fold", paragraph(_words(results)), f"<p>{TEST_NOTE}</p>", _table(results, spreads)),
    ]
    body += [comparison_section(lines, title="Beside the alternatives, over all folds")] if lines else []
    return document(f"{name}: report of its folds", "\n".join(body))


def _words(results: Sequence[Mapping[str, Any]]) -> str:
    found = sum(bool(result["detector_found"]) for result in results)
    return (
        f"Each of the {len(results)} folds has other takes in validation and test, and a search of its own: nothing "
        f"that was chosen in one has seen what that one tests on. A detector was found in {found} of them."
    )


def _table(results: Sequence[Mapping[str, Any]], spreads: Mapping[str, Spread]) -> str:
    columns = [Column(title="fold", is_number=False), Column(title="winner", is_number=False)]
    columns += [Column(title=title, is_test=title.startswith("test")) for title in TITLES]
    rows = [
        Row(cells=[text_cell(result["study"]), text_cell(_winner(result)), *_cells(spreads, index)])
        for index, result in enumerate(results)
    ]
    for title, attribute in (("mean", "mean"), ("deviation", "deviation")):
        values = [number_cell(getattr(spreads[key], attribute), decimals=3) for key in COLUMNS]
        rows.append(Row(cells=[text_cell(title), text_cell(""), *values]))
    return table(columns, rows)


def _winner(result: Mapping[str, Any]) -> str:
    return f"trial {result['winner']['trial']}" if result["winner"] else "none"


def _cells(spreads: Mapping[str, Spread], index: int) -> list[Any]:
    return [number_cell(spreads[key].values[index], decimals=3) for key in COLUMNS]
