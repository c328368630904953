"""A table of detectors over any number of splits: figures with intervals over takes, and the difference to the first.

One line a detector. Figures of several splits are computed from all their decisions together, so that a take that is
tested in two of them is drawn for both.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from core.baselines.comparison import Row
from core.baselines.exact_intervals import with_exact_interval
from core.baselines.paired_bootstrap import METRICS, NUM_DRAWS, Draws, Figure, SplitDecisions, draw_takes, of_machine

CLIP_METRICS = ("auc", "pauc", "f1")
TITLES = {"auc": "AUC", "pauc": "pAUC", "f1": "F1", "event_f1": "event F1", "segment_f1": "segment F1"}


@dataclass(frozen=True, kw_only=True)
class Line:
    """One detector over all splits."""

    name: str
    figures: Mapping[str, Figure]
    """By metric; those of events only where the places of the faults are known."""
    differences: Mapping[str, Figure]
    """The first detector's figure less this one's, take for take; empty in the first line."""
    by_machine: Mapping[str, Mapping[str, Figure]]
    """Of each machine alone, the figures of clips; by metric."""
    num_weights: float
    """The mean over splits, as are the next four."""
    seconds_to_train: float
    seconds_to_score: float
    num_tried: float
    seconds_of_tuning: float
    choices: tuple[str, ...]
    """The choice in each split, in words."""


def lines_of(
    splits: Sequence[Sequence[Row]], *, without: Collection[str] = (), num_draws: int = NUM_DRAWS
) -> list[Line]:
    """From the rows of each split, the same detectors in the same order; `without` names takes that are not counted."""
    first = [rows[0].decisions for rows in splits]
    draws = draw_takes(first, num_draws=num_draws, without=without)
    metrics = [name for name in METRICS if first[0].events is not None or name in CLIP_METRICS]
    ours = {name: METRICS[name](first, draws) for name in metrics}
    lines = []
    for index, rows in enumerate(zip(*splits, strict=True)):
        decisions = [row.decisions for row in rows]
        values = {name: METRICS[name](decisions, draws) for name in metrics}
        lines.append(
            Line(
                name=rows[0].name,
                figures={
                    name: with_exact_interval(Figure.of(values[name]), name, decisions, without=without)
                    for name in metrics
                },
                differences={name: Figure.of(ours[name] - values[name]) for name in metrics} if index else {},
                by_machine=_by_machine(decisions, draws, without),
                num_weights=float(np.mean([row.num_weights for row in rows])),
                seconds_to_train=float(np.mean([row.seconds_to_train for row in rows])),
                seconds_to_score=float(np.mean([row.seconds_to_score for row in rows])),
                num_tried=float(np.mean([row.num_tried for row in rows])),
                seconds_of_tuning=float(np.mean([row.seconds_of_tuning for row in rows])),
                choices=tuple(_choice_text(row) for row in rows),
            )
        )
    return lines


def _by_machine(
    decisions: Sequence[SplitDecisions], draws: Draws, without: Collection[str]
) -> dict[str, dict[str, Figure]]:
    machines = sorted({machine for split in decisions for machine in split.machines})
    parts = {machine: [of_machine(split, machine) for split in decisions] for machine in machines}
    return {
        machine: {
            name: with_exact_interval(Figure.of(METRICS[name](splits, draws)), name, splits, without=without)
            for name in CLIP_METRICS
        }
        for machine, splits in parts.items()
    }


def _choice_text(row: Row) -> str:
    config = row.choice.postprocessing
    words = [row.setup, f"{row.choice.score} score", f"window {config.window_ms / 1000:g} s"]
    words += ["both sides"] if config.two_sided else []
    words += [f"fusion {config.fusion}"] if config.fusion != "mean" else []
    return ", ".join([*words, f"sigma {config.sigma}"])


def asked_metric(lines: Sequence[Line]) -> str:
    """The metric that the task asks for."""
    return "event_f1" if "event_f1" in lines[0].figures else "auc"


def ahead_title(lines: Sequence[Line]) -> str:
    return f"{TITLES[asked_metric(lines)]}: {lines[0].name} is ahead by"


def cells_of(lines: Sequence[Line]) -> list[list[str]]:
    """The heading and one row of cells a detector, as text."""
    if not lines:
        return []
    metrics, machines = list(lines[0].figures), list(lines[0].by_machine)
    asked = asked_metric(lines)
    head = ["detector", *(TITLES[name] for name in metrics), ahead_title(lines)]
    head += [f"AUC {name}" for name in machines] if len(machines) > 1 else []
    head += ["weights", "train s", "score s", "tried", "tuning s"]
    return [head, *(_cells(line, asked, machines if len(machines) > 1 else []) for line in lines)]


def _cells(line: Line, asked: str, machines: Sequence[str]) -> list[str]:
    return [
        line.name,
        *(figure_text(figure) for figure in line.figures.values()),
        figure_text(line.differences[asked], sign=True) if line.differences else "",
        *(f"{line.by_machine[name]['auc'].value:.3f}" for name in machines),
        f"{line.num_weights:,.0f}",
        f"{line.seconds_to_train:.1f}",
        f"{line.seconds_to_score:.1f}",
        f"{line.num_tried:g}",
        f"{line.seconds_of_tuning:.0f}",
    ]


def figure_text(figure: Figure, *, sign: bool = False) -> str:
    """A figure with its interval; a dash where it is not defined."""
    if np.isnan(figure.value):
        return "--"
    form = "+.3f" if sign else ".3f"
    return f"{figure.value:{form}} ({figure.low:{form}} to {figure.high:{form}})"


def as_markdown(lines: Sequence[Line]) -> str:
    head, *rows = cells_of(lines)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows))
