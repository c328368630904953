"""Checks by headers whether a listed corpus is usable for a study: the errors of `prepare_dataset` without decoding."""

import math
from dataclasses import dataclass

from core.data.audio import Waveform
from core.data.clips import clips_of_all
from core.data.data_config import DataConfig, with_faults_if_needed
from core.data.decoding import check_headers, check_not_upsampled
from core.data.judged_clips import (
    JUDGED,
    check_both_kinds,
    check_calibration,
    checked_split,
    choose_judged,
    takes_by_part,
)
from core.data.parts import with_parts
from core.data.recordings import Corpus, Recording, Take, long_enough
from core.data.splicing import spliced_kinds


@dataclass(frozen=True, kw_only=True)
class UndecodedAudio:
    """The size of a take at the study's rate, from its header."""

    num_channels: int
    num_samples: int

    def read(self, start: int = 0, stop: int | None = None) -> Waveform:
        raise AssertionError(f"a check of headers must not read samples ({start} to {stop})")


def check_usable(corpus: Corpus, config: DataConfig, *, highest_rate_hz: int) -> None:
    """Raises the UserError with which a study would refuse the corpus. `highest_rate_hz` is the highest it searches."""
    check_not_upsampled(long_enough(corpus.recordings, config.clips.clip_seconds), highest_rate_hz)
    config = with_faults_if_needed(corpus.recordings, config)
    corpus = with_parts(corpus, config.clips).corpus
    checked_split(corpus.recordings, config)
    min_seconds = config.clips.clip_seconds
    check_headers(corpus.recordings, min_seconds=min_seconds, skip_bad_files=config.skip_bad_files)
    takes = [_undecoded(each, config) for each in long_enough(corpus.recordings, min_seconds)]
    chosen = choose_judged(takes_by_part(takes, config), config)
    for name in JUDGED:
        max_clips = config.clips.max_clips(name)
        clips = clips_of_all(chosen[name], config.clip_samples, most=max_clips // len(chosen[name]))
        if name == "calibration":
            check_calibration(clip.take.recording.machine for clip in clips)
        elif config.splice:
            kinds = spliced_kinds(chosen[name], config.splice, config.clip_samples, max_clips=max_clips)
            check_both_kinds(kinds, name)
        elif not config.faults:
            check_both_kinds([clip.is_anomalous for clip in clips], name)


def _undecoded(recording: Recording, config: DataConfig) -> Take:
    num_samples = math.ceil(recording.num_samples * config.sample_rate_hz / recording.sample_rate_hz)
    return Take(recording=recording, audio=UndecodedAudio(num_channels=recording.num_channels, num_samples=num_samples))
