"""A streamed set as a dataset. Training begins with the first clips, while a thread fills the store.

The thread reads the stream once to its end and stores every take. Clips are given out in the order of their arrival;
`judged` waits until its clips are complete. Later trials get the takes from the store in the same order, so a trial
does not depend on whether the store was filled before. Without a store see restreaming.py.
"""

import os
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from functools import cached_property

from core.data.clips import Clip, ClipSet, clips_of
from core.data.data_config import DataConfig, stand_ins_of
from core.data.dataset import Dataset
from core.data.judged_clips import JUDGED
from core.data.noise import with_noise
from core.data.recordings import Recording, Skipped, StreamedCorpus, Take
from core.data.splits import split_of
from core.data.stand_ins import StandIn
from core.data.store import Store
from core.data.streaming.judged_takes import JudgedTakes, no_training_takes, say_if_injected
from core.data.streaming.left_out import LeftOut
from core.data.streaming.restreaming import Restreamed
from core.data.streaming.take_stream import takes_of
from core.data.training_clips import ClipOrder, ListedOrder
from core.errors import UserError

SECONDS_TO_CLOSE = 5.0


def stream_dataset(
    corpus: StreamedCorpus, config: DataConfig, *, store: Store | None = None, say: Callable[[str], None] = print
) -> Dataset:
    """Reads only the stream's first take; the rest is read when clips are needed.

    `say` prints what `judged` waits for, and the first takes that are left out. Raises UserError for a config that
    needs a list, and for an empty stream.
    """
    check_streamable(config)
    first = next((take for take in corpus.takes() if isinstance(take, Recording)), None)
    if first is None:
        raise UserError(f"The stream must bring takes, but {corpus.name} brought none that can be used.")
    left_out = LeftOut(say)
    source: Arrivals | Restreamed = (
        Arrivals(corpus, config, store, say, left_out) if store else Restreamed(corpus, config, say, left_out)
    )
    return Dataset(
        config=config,
        num_channels=first.num_channels,
        training=source,
        judged=lambda: source.judged,
        takes=source.describe,
        skipped=lambda: tuple(left_out),
        num_judged_samples=sum(config.clips.max_clips(name) for name in JUDGED) * config.clip_samples,
        notes=config.notes,
        close=source.close,
        stand_ins=source.stand_ins,
    )


def check_streamable(config: DataConfig) -> None:
    """Raises UserError for settings that need the list of all takes."""
    if config.splice:
        raise UserError(
            "[splice] must be left out where takes are streamed, but is set. Leave it out with --set splice=none, or "
            "use a source that can be listed: a folder, or the ToyADMOS tree."
        )
    if config.speed_perturbation:
        raise UserError(
            "[speed_perturbation] must be left out where takes are streamed, as a stream is read once and at one rate, "
            "but is set. Set in_streams = 'leave out' in it, or use a source that can be listed, such as a folder."
        )


class Arrivals:
    """The source of clips for a dataset: takes that a thread reads from the stream into the store."""

    def __init__(
        self, corpus: StreamedCorpus, config: DataConfig, store: Store, say: Callable[[str], None], left_out: LeftOut
    ) -> None:
        self._corpus, self._config, self._store, self._say, self._left_out = corpus, config, store, say, left_out
        self._news = threading.Condition()
        self._clips: list[Clip] = []
        self._judging = JudgedTakes(config, corpus.machines)
        self._counts: Counter[str] = Counter()
        self._has_ended = self._is_closing = False
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = None

    def order(self, seed: int) -> ClipOrder:
        return _ArrivingOrder(self, seed)

    def clip(self, position: int) -> Clip | None:
        """The training clip that arrived as number `position`, from 0. Waits for it; None if the stream ends before."""
        self._wait(lambda: len(self._clips) > position)
        return self._clips[position] if position < len(self._clips) else None

    def everything(self) -> Sequence[Clip]:
        """All training clips. Waits for the end of the stream. Raises UserError if there are none."""
        self._wait(lambda: False)
        if not self._clips:
            raise no_training_takes()
        return self._clips

    @cached_property
    def judged(self) -> Mapping[str, ClipSet]:
        """The judged clips. Waits for them."""
        with self._news:
            self._start()
            missing = self._judging.missing
            if missing and not self._has_ended:
                self._say(f"evaluation waits for {missing[0]}" + (f" and {len(missing) - 1} more" * (len(missing) > 1)))
        self._wait(lambda: self._judging.is_complete)
        say_if_injected(self._config, self._judging, self._say)
        return self._judging.clips()

    def stand_ins(self) -> tuple[StandIn, ...]:
        return stand_ins_of(self._judging.config if self._has_ended else self._config)

    def describe(self) -> str:
        counts = ", ".join(f"{self._counts[name]} {name}" for name in ("train", *JUDGED))
        if self._has_ended:
            return counts
        room = f"{os.path.relpath(self._store.directory)}, which may grow to {self._store.max_bytes / 1e9:g} GB"
        return f"trained on as they arrive, and kept in {room}"

    def close(self) -> None:
        """Stops reading the stream. Takes that have arrived stay in the store."""
        self._is_closing = True
        if self._thread is not None:
            self._thread.join(SECONDS_TO_CLOSE)

    def _wait(self, is_there: Callable[[], bool]) -> None:
        """Waits until `is_there` or the end of the stream. Raises the stream's error."""
        with self._news:
            self._start()
            self._news.wait_for(lambda: is_there() or self._has_ended)
            if self._error is not None and not is_there():
                raise self._error

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._follow, name="stream", daemon=True)
            self._thread.start()

    def _follow(self) -> None:
        try:
            clips = self._config.clips
            takes = takes_of(
                self._corpus,
                sample_rate_hz=self._config.sample_rate_hz,
                min_seconds=clips.clip_seconds,
                store=self._store,
            )
            with closing(takes):
                for take in takes:
                    with self._news:
                        self._arrive(take)
                        self._news.notify_all()
                    if self._is_closing:
                        return
        except BaseException as error:  # `_wait` raises it in the waiting thread
            self._error = error
        finally:
            with self._news:
                self._has_ended = True
                self._news.notify_all()

    def _arrive(self, take: Take | Skipped) -> None:
        if isinstance(take, Skipped):
            self._left_out.add(take)
            return
        part = split_of(take.recording, self._config.split)
        self._counts[part or "unknown"] += 1
        take = with_noise(take, self._config.noise, self._config.sample_rate_hz)
        if part == "train":
            self._clips += clips_of(take, self._config.clip_samples)
        elif part is not None:
            self._judging.offer(part, take)


class _ArrivingOrder:
    """Clips in the order of arrival in the first pass, and in an order by the seed in later passes."""

    def __init__(self, arrivals: Arrivals, seed: int) -> None:
        self._arrivals, self._seed = arrivals, seed

    def all_of(self, most: int) -> Sequence[Clip] | None:
        return self._arrivals.everything() if self._arrivals.clip(most) is None else None

    def at(self, position: int) -> Clip:
        clip = self._arrivals.clip(position)
        if clip is not None:
            return clip
        return ListedOrder(self._arrivals.everything(), self._seed, first_pass_as_listed=True).at(position)
