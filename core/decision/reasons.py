"""What makes a stretch of sound strange to a microphone, in words: which statistics of its innovations, which bands.

F frames of the stretch, D statistics of a group. The stretch is compared as its detector compares it: with its
machine's healthy takes, or, with `baseline = "clip"`, with its own clip, of which the median over frames is taken here.
Of the groups of statistics (core/decision/clip_statistics.py) those that stand out most are named, at most MAX_REASONS,
and no words twice. How sound changes (OF_CHANGES) is said of stretches alone that are as long as those that were
calibrated.

Groups are ranked by their deviations from healthy takes, in units of how those takes differ; some are decorrelated. A
detector that compares a clip with its machine judges the same deviations. One that looks for changes within a clip
judges others (core/decision/change_points.py), but its reasons are ranked in the same way. Directions and bands are
those of the deviations as they are, which can be seen in a spectrogram. A band reaches as far around the most deviating
one as the deviation keeps its sign and half its size; none is named where it reaches over all.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from core.decision.clip_statistics import CHANGES_BY_BAND, IN_BANDS, OF_CHANGES
from core.decision.innovations_statistic import CHANGING, InnovationsStatistic, cut, first_frames
from core.decision.normal_sound import NormalSound, strangeness
from core.decision.postprocess import Event
from core.model.frame_statistics import NUM_BANDS, FrameVectors, band_edges_hz, statistic_groups
from core.model.frontend import FrontEndConfig

Array = npt.NDArray[np.float64]

MAX_REASONS = 2
LEAST_SIGMAS = 1.0
"""Of a second reason."""
WORDS = {
    "likelihood": ("harder to predict than usual", "easier to predict than usual"),
    "colour": ("more that was not expected", "less that was not expected"),
    "colour changes": (
        "what was not expected is unsteadier than usual",
        "what was not expected is steadier than usual",
    ),
    "colour changes by band": (
        "what was not expected is unsteadier than usual",
        "what was not expected is steadier than usual",
    ),
    "whiteness": ("a regularity that was not learned", "a regularity is missing"),
    "impulses": ("knocks more than usual", "knocks less than usual"),
    "spectrum": ("stronger than usual", "weaker than usual"),
    "spectrum changes": ("unsteadier than usual", "steadier than usual"),
    "spectrum changes by band": ("unsteadier than usual", "steadier than usual"),
    "modulation": ("swells and fades more than usual", "swells and fades less than usual"),
    "level": ("louder than usual", "quieter than usual"),
}
"""By group, where the most deviating statistic is above normal and below."""
BANDS_OF = {name: name for name in IN_BANDS} | {group: name for name, group in CHANGES_BY_BAND.items()}
"""By group of one statistic a band: what the bands are of."""


@dataclass(frozen=True, kw_only=True)
class Reason:
    """One group of statistics that stands out."""

    group: str
    sigmas: float
    """Of the group's strangeness."""
    is_above: bool
    """Whether the most deviating statistic is above normal."""
    band_hz: tuple[float, float] | None
    """None for a group without bands, and where all bands deviate."""

    @property
    def what(self) -> str:
        return WORDS[self.group][0 if self.is_above else 1]

    @property
    def words(self) -> str:
        where = f" between {self.band_hz[0]:.0f} and {self.band_hz[1]:.0f} Hz" if self.band_hz else ""
        return f"{self.what}{where}"


def reasons_of(
    statistic: InnovationsStatistic,
    frames: FrameVectors,
    event: Event,
    machine: str,
    *,
    channel: int,
    front_end: FrontEndConfig,
) -> tuple[Reason, ...]:
    """Why an event of a clip with (C, F, K) statistics stands out to a microphone; at least one reason, the strongest
    first."""
    of_all = _deviations(statistic, frames, event, machine)
    deviations = {name: each[channel] for name, each in of_all.items()}
    return strongest_reasons(deviations, statistic.normal, front_end)


def strongest_reasons(
    deviations: Mapping[str, Array], normal: NormalSound, front_end: FrontEndConfig
) -> tuple[Reason, ...]:
    """From (D,) deviations by group that the detector judges; at least one, the strongest first."""
    found: dict[str, Reason] = {}
    reasons = [_reason(name, each, normal, front_end) for name, each in deviations.items()]
    for reason in sorted(reasons, key=lambda reason: -reason.sigmas):
        strongest = found.setdefault(reason.what, reason)
        if reason.sigmas >= LEAST_SIGMAS:
            found[reason.what] = replace(strongest, band_hz=strongest.band_hz or reason.band_hz)
    first, *others = list(found.values())[:MAX_REASONS]
    return first, *(reason for reason in others if reason.sigmas >= LEAST_SIGMAS)


def _deviations(
    statistic: InnovationsStatistic, frames: FrameVectors, event: Event, machine: str
) -> Mapping[str, Array]:
    """(C, D) by group, in the spreads of healthy takes, as the detector judges them."""
    if statistic.config.baseline != "clip":
        return _from_machine(statistic, frames, event, machine)
    usual = np.median(frames.astype(np.float64), axis=1)  # (C, K)
    places, normal = statistic_groups(len(frames)), statistic.normal
    means = frames[:, event.first_frame : event.end_frame].astype(np.float64).mean(axis=1)
    found = {
        name: (means - usual)[:, places[name]] / normal.spreads[machine][name]
        for name in CHANGING[statistic.config.statistics]
    }
    known = normal.decorrelations
    return {name: each @ known[name] if name in known else each for name, each in found.items()}


def _from_machine(
    statistic: InnovationsStatistic, frames: FrameVectors, event: Event, machine: str
) -> Mapping[str, Array]:
    """Of the event's strangest stretch; of the event itself where it holds no whole one, without OF_CHANGES."""
    stretches, normal = cut(frames[None], statistic.num_stretches), statistic.normal
    firsts, length = first_frames(frames.shape[1], statistic.num_stretches), stretches.shape[2]
    whole = [each for each, first in enumerate(firsts) if event.first_frame <= first <= event.end_frame - length]
    if whole:
        deviations = normal.deviations(normal.vectors(stretches[whole]), machine)
        strangest = int(normal.scores(deviations).argmax())
        return {name: each[strangest] for name, each in deviations.items()}
    vectors = normal.vectors(frames[None, :, event.first_frame : event.end_frame])
    deviations = normal.deviations(vectors, machine)
    return {name: each[0] for name, each in deviations.items() if name not in OF_CHANGES}


def _reason(group: str, judged: Array, normal: NormalSound, front_end: FrontEndConfig) -> Reason:
    """From the (D,) deviations of the group that the detector judges."""
    deviations = judged
    if group in normal.decorrelations:
        deviations = np.asarray(np.linalg.lstsq(normal.decorrelations[group], judged)[0], dtype=np.float64)
    peak = int(np.abs(deviations).argmax())
    rate_hz = front_end.read_rate_hz if BANDS_OF.get(group) == "spectrum" else front_end.sample_rate_hz
    return Reason(
        group=group,
        sigmas=float(normal.standards[group].bounded_sigmas(strangeness(group, judged[None, None]))[0]),
        is_above=bool(deviations[peak] > 0),
        band_hz=_band_around(peak, deviations, rate_hz) if group in BANDS_OF else None,
    )


def _band_around(peak: int, deviations: Array, sample_rate_hz: int) -> tuple[float, float] | None:
    """From (B,) deviations; None where it would reach over all bands."""
    is_in = deviations * np.sign(deviations[peak]) >= np.abs(deviations[peak]) / 2
    first, last = peak, peak
    while first > 0 and is_in[first - 1]:
        first -= 1
    while last < NUM_BANDS - 1 and is_in[last + 1]:
        last += 1
    if last - first == NUM_BANDS - 1:
        return None
    edges = band_edges_hz(sample_rate_hz)
    return float(edges[first]), float(edges[last + 1])
