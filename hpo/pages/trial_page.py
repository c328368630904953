"""One trial's page: curves, score histograms, ROC, and clips with what was heard in them. Self-contained HTML."""

from collections.abc import Mapping, Sequence

from hpo.pages.clip_figure import ClipView, clip_figures, clip_sentence
from hpo.pages.plot_style import figure_html
from hpo.pages.trial_figures import (
    SplitScores,
    histograms_figure,
    infinite_scores_sentences,
    loss_gaps,
    losses_figure,
    roc_figure,
)
from hpo.pages.web_page import (
    TEST_MARK,
    TEST_NOTE,
    Cell,
    Column,
    Row,
    document,
    escaped,
    notice,
    number_cell,
    paragraph,
    section,
    table,
    text_cell,
)

__all__ = ["ClipView", "SplitScores", "facts_table", "trial_page"]


def trial_page(
    *,
    title: str,
    epochs: Sequence[Mapping[str, float]],
    validation: SplitScores,
    test: SplitScores,
    threshold_sigmas: float,
    clips: Sequence[ClipView],
    facts: Mapping[str, object],
) -> str:
    """The whole page as HTML, with plotly.js once.

    epochs: one mapping an epoch, with `epoch` and the metrics; NaN and infinities leave gaps that are named.
    facts: shown in their order; a fact that is a mapping becomes a group; `best_epoch` is marked on the curves.
    """
    best_epoch = facts.get("best_epoch")
    losses = losses_figure(epochs, best_epoch=best_epoch if isinstance(best_epoch, int) else None)
    histograms = histograms_figure(validation, test, threshold_sigmas)
    body = [
        f'<section><p class="kicker">One trial</p><h1>{escaped(title)}</h1><p>{TEST_NOTE}</p></section>',
        '<div class="columns">',
        section("Loss against epochs", figure_html(losses, "losses"), *_notices([loss_gaps(epochs)])),
        section("Facts", facts_table(facts)),
        "</div>",
        section(
            "Clip scores by label",
            paragraph("A clip's score is the highest threshold at which an event still survives in it."),
            figure_html(histograms, "histograms", min_width_px=640),
            *_notices(infinite_scores_sentences(validation, test)),
        ),
        section("ROC of clips", figure_html(roc_figure(validation, test, threshold_sigmas), "roc")),
        *_clip_sections(clips),
    ]
    return document(title, "\n".join(body))


def _notices(sentences: Sequence[str | None]) -> list[str]:
    return [notice(sentence, is_warning=True) for sentence in sentences if sentence]


def _clip_sections(clips: Sequence[ClipView]) -> list[str]:
    return [
        section(clip.title, paragraph(clip_sentence(clip)), figure_html(figure, f"clip-{index}"))
        for index, (clip, figure) in enumerate(zip(clips, clip_figures(clips), strict=True))
    ]


def facts_table(facts: Mapping[str, object]) -> str:
    """Name and value, one fact a line; a mapping's facts follow under its name. Names with test in front are marked."""
    columns = [Column(title="", is_number=False), Column(title="")]
    return table(columns, [row for name, value in facts.items() for row in _fact_rows(name, value)])


def _fact_rows(name: str, value: object, *, is_test: bool = False) -> list[Row]:
    is_test = is_test or name.startswith("test")
    label = Cell(html=f"{TEST_MARK} {escaped(name)}") if is_test else text_cell(name)
    if not isinstance(value, Mapping):
        return [Row(cells=[label, number_cell(value)], css="test" if is_test else "")]
    group = Row(cells=[label, text_cell("")], css="group")
    return [group, *(row for key, inner in value.items() for row in _fact_rows(key, inner, is_test=is_test))]
