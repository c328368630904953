"""The page of a study over the folds of its takes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.baselines.comparison_table import Line
from core.data.stand_ins import SENTENCES, StandIn
from hpo.pages.comparison_section import comparison_view
from hpo.pages.rendering import render
from hpo.pages.table import Cell, Column, Row, Table, number_cell, text_cell
from hpo.search.identity import DATA_FINGERPRINT, TRAININGS, flat

COLUMNS = ("validation_f1", "validation_auc", "test_f1", "test_auc")
WORDS = {DATA_FINGERPRINT: "other recordings", TRAININGS: "another version of this program"}
"""What stands for settings that nobody wrote."""
TITLES = ("validation F1", "validation AUC", "test F1", "test AUC")


@dataclass(frozen=True, kw_only=True)
class Spread:
    """A metric over folds."""

    mean: float
    deviation: float
    """Of a single fold (n - 1)."""
    values: tuple[float, ...]


def folds_page(
    name: str,
    results: Sequence[Mapping[str, Any]],
    spreads: Mapping[str, Spread],
    lines: Sequence[Line],
    *,
    reports: Sequence[str],
) -> str:
    """The folds' winners with mean and deviation, and the alternatives where they were compared in all folds.

    `reports` are the paths of the folds' reports from the page's folder.
    """
    return render(
        "folds",
        name=name,
        num_folds=len(results),
        num_found=sum(bool(result["detector_found"]) for result in results),
        winners=_winners(results, spreads, reports),
        comparison=comparison_view(lines),
        stand_ins=stand_ins_of(results),
        difference=difference_of(results),
    )


def stand_ins_of(results: Sequence[Mapping[str, Any]]) -> list[StandIn]:
    """What stood in for recordings in any of the folds."""
    found = {name for result in results for name in (result["evidence"] or {}).get("stand_ins", ())}
    return [name for name in SENTENCES if name in found]


def difference_of(results: Sequence[Mapping[str, Any]]) -> str:
    """A sentence that names the settings in which the folds' studies differ; empty where they differ in none.

    A result of an earlier version has no settings, and differs from those that have some in its version.
    """
    settings = [flat(result.get("settings", {})) for result in results]
    keys = {key for each in settings for key in each} - {"split.fold"}
    if not all(settings):
        keys &= {TRAININGS}
    differing = sorted(key for key in keys if len({str(each.get(key)) for each in settings}) > 1)
    names = dict.fromkeys(WORDS.get(key, ".".join(key.split(".")[:2])) for key in differing)
    made = f"The folds were made with different settings ({', '.join(names)}), so their mean says little."
    return made if names else ""


def _winners(results: Sequence[Mapping[str, Any]], spreads: Mapping[str, Spread], reports: Sequence[str]) -> Table:
    columns = [Column(title="fold", is_number=False), Column(title="winner", is_number=False)]
    columns += [Column(title=title, is_test=title.startswith("test")) for title in TITLES]
    rows = [
        Row(cells=[Cell(text=result["study"], link=report), text_cell(verdict_of(result)), *_cells(spreads, index)])
        for index, (result, report) in enumerate(zip(results, reports, strict=True))
    ]
    for title in ("mean", "deviation"):
        values = [number_cell(getattr(spreads[key], title), decimals=3) for key in COLUMNS]
        rows.append(Row(cells=[text_cell(title), text_cell(""), *values]))
    return Table(columns=columns, rows=rows)


def verdict_of(result: Mapping[str, Any]) -> str:
    """The winner, and whether it is one."""
    if not result["winner"]:
        return "none"
    trial = f"trial {result['winner']['trial']}"
    if not result["detector_found"]:
        return f"no detector ({trial})"
    is_proven = (result.get("evidence") or {}).get("is_proven", True)  # not known of an earlier version's
    return trial if is_proven else f"{trial}, unproven"


def _cells(spreads: Mapping[str, Spread], index: int) -> list[Cell]:
    return [number_cell(spreads[key].values[index], decimals=3) for key in COLUMNS]
