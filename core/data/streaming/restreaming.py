"""A streamed set without a store: the stream is read once for the judged clips, and again by every trial.

Of the clips that were read, only the latest pool is held.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property

from core.data.clips import Clip, ClipSet, clips_of
from core.data.data_config import DataConfig, stand_ins_of
from core.data.judged_clips import JUDGED
from core.data.noise import with_noise
from core.data.recordings import StreamedCorpus, Take
from core.data.splits import split_of
from core.data.stand_ins import StandIn
from core.data.streaming.judged_takes import JudgedTakes, no_training_takes, say_if_injected
from core.data.streaming.left_out import LeftOut
from core.data.streaming.take_stream import takes_of
from core.data.training_clips import POOL_CLIPS, ClipOrder


class Restreamed:
    """The source of clips for a dataset. Every trial reads the stream, pass after pass."""

    def __init__(
        self, corpus: StreamedCorpus, config: DataConfig, say: Callable[[str], None], left_out: LeftOut
    ) -> None:
        self._corpus, self._config, self._say, self._left_out = corpus, config, say, left_out
        self._judging = JudgedTakes(config, corpus.machines)
        self._has_judged = False

    def order(self, seed: int) -> ClipOrder:  # noqa: ARG002 (a stream has its own order)
        return _PassingOrder(self._training_clips)

    @cached_property
    def judged(self) -> Mapping[str, ClipSet]:
        """The judged clips, from a separate pass that ends as soon as they are complete."""
        for take in self._pass(*JUDGED):
            self._judging.offer(str(split_of(take.recording, self._config.split)), take)
            if self._judging.is_complete:
                break
        self._has_judged = True
        say_if_injected(self._config, self._judging, self._say)
        return self._judging.clips()

    def stand_ins(self) -> tuple[StandIn, ...]:
        return stand_ins_of(self._judging.config if self._has_judged else self._config)

    def describe(self) -> str:
        return "as they arrive, streamed again for every trial"

    def close(self) -> None:
        """Does nothing, because nothing runs in the background."""

    def _training_clips(self) -> Iterator[Clip]:
        """One pass."""
        for take in self._pass("train"):
            yield from clips_of(take, self._config.clip_samples)

    def _pass(self, *parts: str) -> Iterator[Take]:
        arrivals = takes_of(
            self._corpus,
            sample_rate_hz=self._config.sample_rate_hz,
            min_seconds=self._config.clips.clip_seconds,
            is_wanted=lambda recording: split_of(recording, self._config.split) in parts,
        )
        for arrival in arrivals:
            if isinstance(arrival, Take):
                yield with_noise(arrival, self._config.noise, self._config.sample_rate_hz)
            else:
                self._left_out.add(arrival)


class _PassingOrder:
    """Clips in the order of arrival, pass after pass."""

    def __init__(self, open_pass: Callable[[], Iterator[Clip]]) -> None:
        self._open_pass = open_pass
        self._clips = open_pass()
        self._held: deque[Clip] = deque(maxlen=POOL_CLIPS + 1)
        self._num_read = 0

    def all_of(self, most: int) -> Sequence[Clip] | None:
        """Must be called before `at`. `most` is at most POOL_CLIPS."""
        while self._num_read <= most:
            clip = next(self._clips, None)
            if clip is None:
                if not self._held:
                    raise no_training_takes()
                return tuple(self._held)
            self._hold(clip)
        return None

    def at(self, position: int) -> Clip:
        """`position` may be lower than an earlier one by less than a pool."""
        while self._num_read <= position:
            clip = next(self._clips, None)
            if clip is None:
                self._clips = self._open_pass()
                continue
            self._hold(clip)
        return self._held[position - self._num_read + len(self._held)]

    def _hold(self, clip: Clip) -> None:
        self._held.append(clip)
        self._num_read += 1
