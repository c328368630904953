"""A comparison as a table in Markdown."""

from collections.abc import Sequence

from core.comparison import Figure, Row


def as_table(rows: Sequence[Row]) -> str:
    """A line a detector: the test's figures over all machines, AUC of each machine, and what was chosen."""
    machines = list(rows[0].machines) if rows else []
    head = ["detector", "F1", "AUC", "pAUC", *(f"AUC {name}" for name in machines)]
    head += ["AUC val.", "window", "sides", "weights", "train s", "score s"]
    lines = [head, ["---"] * len(head), *(_cells(row, machines) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cells(row: Row, machines: Sequence[str]) -> list[str]:
    overall, chosen, scored = row.overall, row.choice.postprocessing, row.scored
    return [
        scored.name,
        *(_with_interval(figure) for figure in (overall.f1, overall.auc, overall.pauc)),
        *(_with_interval(row.machines[name].auc) for name in machines),
        f"{row.choice.auc:.3f}",
        f"{chosen.window_ms / 1000:g} s",
        "two" if chosen.two_sided else "one",
        f"{scored.num_weights:,}",
        f"{scored.seconds_to_train:.1f}",
        f"{scored.seconds_to_score:.1f}",
    ]


def _with_interval(figure: Figure) -> str:
    return f"{figure.value:.3f} ({figure.low:.3f} to {figure.high:.3f})"
