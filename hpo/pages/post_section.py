"""The report's section on the search of post-processing: the best point beside the winner."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hpo.pages.formatting import duration_text
from hpo.pages.table import Column, Row, Table, figure_cell, number_cell, split_cell, text_cell
from hpo.pages.winner_tables import METRICS, SCORES, SPLITS


@dataclass(frozen=True, kw_only=True)
class PostView:
    """What `post.html.jinja` shows."""

    words: str
    choice: str
    """Why the best point is the best."""
    optimism: str
    metrics: Table
    parameters: Table
    importance: str | None


def post_view(post: Mapping[str, Any] | None, winner: Mapping[str, Any] | None) -> PostView | None:
    """`post` and `winner` of result.json; None where post-processing was not searched."""
    if post is None or winner is None:
        return None
    return PostView(
        words=points_sentence(post),
        choice=post["choice"],
        optimism=post["optimism"],
        metrics=_metrics(post["best"], winner),
        parameters=_parameters(post["best"]),
        importance=post["importance"],
    )


def points_sentence(post: Mapping[str, Any]) -> str:
    """How many points were tried, on which trials, and over which ranges."""
    trials = [str(number) for number in post["trials"]]
    of = f"trial {trials[0]}" if len(trials) == 1 else f"trials {', '.join(trials[:-1])} and {trials[-1]}"
    stored = ""
    if post["num_stored"] and post["num_stored"] < post["num_points"]:
        stored = f" Study {post['study']} of the Optuna dashboard holds {post['num_stored']:,} of them."
    elif post["num_stored"]:
        stored = f" They are study {post['study']} of the Optuna dashboard."
    ranges = "; ".join(f"{name} {words}" for name, words in post["ranges"].items() if name != "trial")
    return (
        f"{post['num_points']:,} points in {duration_text(post['seconds'])}, over the stored frame scores of {of}: "
        f"{ranges}. Thresholds are in sigmas of the scores of their point; all points share one range of them.{stored}"
    )


def _metrics(best: Mapping[str, Any], winner: Mapping[str, Any]) -> Table:
    titles = ["", f"best point (trial {best['trial']})", f"winner (trial {winner['trial']}) as it is"]
    rows = [
        Row(
            cells=[split_cell(split, METRICS[key]), figure_cell(best[split], key), figure_cell(winner[split], key)],
            css=split,
        )
        for split in SPLITS
        for key in SCORES
    ]
    return Table(columns=[Column(title=title, is_number=bool(title)) for title in titles], rows=rows)


def _parameters(best: Mapping[str, Any]) -> Table:
    columns = [Column(title="", is_number=False), Column(title="best point"), Column(title="its trial's own")]
    rows = [
        Row(cells=[text_cell(name), number_cell(value), number_cell(best["own_parameters"].get(name, best["trial"]))])
        for name, value in best["parameters"].items()
    ]
    return Table(columns=columns, rows=rows)
