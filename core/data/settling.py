"""Settles what a study file leaves to the corpus: what calibrates, whether takes are heard at other speeds, how far up
their spectrum is heard, and whether faults are injected."""

from dataclasses import replace

from core.data.recordings import Corpus, StreamedCorpus, long_enough
from core.data.speed_perturbation import SpeedConfig
from core.data.splits import SplitConfig

CLIPS_IN_TWO_PARTS = 2
"""One to train on and one to calibrate on."""


def settle_calibration(split: SplitConfig, corpus: Corpus | StreamedCorpus, *, clip_seconds: float) -> SplitConfig:
    """The config with "parts" in place of "auto" where every normal take holds two clips, else with "takes".

    Takes of less than a clip do not count: they are left out, or the study is refused. Parts show how all training
    takes differ. A stream's takes are dealt one by one, before their lengths are known, so
    there it is always "takes".
    """
    if split.calibration != "auto":
        return split
    if isinstance(corpus, StreamedCorpus):
        return replace(split, calibration="takes")
    lengths = [take.seconds for take in long_enough(corpus.recordings, clip_seconds) if take.label == "normal"]
    is_long = min(lengths, default=0.0) >= CLIPS_IN_TWO_PARTS * clip_seconds
    return replace(split, calibration="parts" if is_long else "takes")


def settle_speeds(speeds: SpeedConfig | None, corpus: Corpus | StreamedCorpus) -> SpeedConfig | None:
    """None for a stream, which is read at one rate, where the config says that other speeds are left out there."""
    is_left_out = speeds is not None and speeds.in_streams == "leave out" and isinstance(corpus, StreamedCorpus)
    return None if is_left_out else speeds


def lowest_rate_hz(corpus: Corpus | StreamedCorpus, *, clip_seconds: float) -> int | None:
    """Of all recordings of a clip or more; None for a stream, whose rates are known when it is read."""
    if isinstance(corpus, StreamedCorpus):
        return None
    return min((take.sample_rate_hz for take in long_enough(corpus.recordings, clip_seconds)), default=None)


def will_inject_faults(corpus: Corpus | StreamedCorpus) -> bool:
    """Whether no take is anomalous. False for a stream, which shows that only at its end."""
    return isinstance(corpus, Corpus) and all(take.label != "anomalous" for take in corpus.recordings)
