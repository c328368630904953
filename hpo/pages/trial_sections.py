"""The sections with plots on a trial's page, in their order. To add a plot, add a section to `trial_sections`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from core.data.stand_ins import StandIn
from core.model.whiteness import Whiteness
from core.web_page.rendering import PageFigure
from hpo.pages.clip_figure import ClipView, clip_figures, clip_sentence
from hpo.pages.plot_style import untitled
from hpo.pages.table import Table
from hpo.pages.trial_figures import (
    SplitScores,
    histograms_figure,
    infinite_scores_sentences,
    loss_gaps,
    losses_figure,
    roc_figure,
)
from hpo.pages.whiteness_section import TEXT, whiteness_figure, whiteness_table
from hpo.results.whiteness import whiteness_warning

CLIP_SCORE = "A clip's score is the highest threshold at which an event is still found in it."


@dataclass(frozen=True, kw_only=True)
class TrialView:
    """One trial as its page shows it."""

    title: str
    epochs: Sequence[Mapping[str, float]]
    """One mapping an epoch, with `epoch` and the metrics. NaN and infinities leave gaps, and the page names them."""
    best_epoch: int | None
    validation: SplitScores
    test: SplitScores
    threshold_sigmas: float
    clips: Sequence[ClipView]
    stand_ins: Sequence[StandIn] = ()
    """What stood in for recordings that are missing."""
    whiteness: Whiteness | None = None
    """Of the innovations of healthy test clips; without it the page has no section of them."""
    microphones: Sequence[int] = ()
    """The numbers of those that `whiteness` is of."""


@dataclass(frozen=True, kw_only=True)
class FigureSection:
    """A heading, a sentence, a plot, a table of its figures, and warnings about what it shows or cannot show."""

    heading: str
    figure: PageFigure
    text: str = ""
    warnings: Sequence[str] = ()
    table: Table | None = None


def trial_sections(trial: TrialView) -> list[FigureSection]:
    """The first one is shown beside the table of facts."""
    losses = losses_figure(trial.epochs, best_epoch=trial.best_epoch)
    gaps = loss_gaps(trial.epochs)
    histograms = histograms_figure(trial.validation, trial.test, trial.threshold_sigmas)
    roc = roc_figure(trial.validation, trial.test, trial.threshold_sigmas)
    return [
        FigureSection(
            heading="Loss against epochs", figure=untitled(losses, name="losses"), warnings=[gaps] if gaps else []
        ),
        FigureSection(
            heading="Clip scores by label",
            text=CLIP_SCORE,
            figure=untitled(histograms, name="histograms", min_width_px=640),
            warnings=infinite_scores_sentences(trial.validation, trial.test),
        ),
        FigureSection(heading="ROC of clips", figure=untitled(roc, name="roc")),
        *([_whiteness_section(trial.whiteness, trial.microphones)] if trial.whiteness else []),
        *(
            FigureSection(heading=clip.title, text=clip_sentence(clip), figure=untitled(figure, name=f"clip-{index}"))
            for index, (clip, figure) in enumerate(zip(trial.clips, clip_figures(trial.clips), strict=True))
        ),
    ]


def _whiteness_section(whiteness: Whiteness, microphones: Sequence[int]) -> FigureSection:
    warning = whiteness_warning(whiteness)
    return FigureSection(
        heading="Has the network learned the machine?",
        text=TEXT,
        figure=untitled(whiteness_figure(whiteness, microphones), name="whiteness", min_width_px=640),
        warnings=[warning] if warning else [],
        table=whiteness_table(whiteness, microphones),
    )
