"""A set that is streamed, as a dataset: training begins with its first clips, and the store is filled on the way.

A thread follows the stream to its end, once, into the store; clips are handed out in the order of their arrival, and
what is judged is waited for. Later the stream comes from the store, in the same order, so a trial is the same whether
it was there first or not. Without a store the stream is read anew: once for what is judged, and by every trial.
"""

import os
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from functools import cached_property

from core.data.clips import Clip, ClipSet, clips_of
from core.data.dataset import JUDGED, DataConfig, Dataset
from core.data.noise import with_noise
from core.data.recordings import Recording, Skipped, StreamedCorpus, Take
from core.data.splits import split_of
from core.data.store import Store
from core.data.streaming.judged_takes import JudgedTakes
from core.data.streaming.take_stream import takes_of
from core.data.training_clips import POOL_CLIPS, ClipOrder, ListedOrder
from core.errors import UserError

SECONDS_TO_CLOSE = 5.0
MAX_LEFT_OUT_SAID = 5
"""Of what is left out so much is said while it comes by; the study's result has all of it."""


def stream_dataset(
    corpus: StreamedCorpus, config: DataConfig, *, store: Store | None = None, say: Callable[[str], None] = print
) -> Dataset:
    """Looks at the stream's first take and leaves the rest to whoever asks for it.

    `say` is told once what is waited for, and of what is left out the first few.
    """
    if config.splice:
        raise UserError(
            "[splice] must be left out where takes are streamed, but is there. Take a source that can be listed: a "
            "folder, or the ToyADMOS tree."
        )
    if config.speed_perturbation:
        raise UserError(
            "[speed_perturbation] must be left out where takes are streamed, as a stream is read once and at one rate, "
            "but is there. Take a source that can be listed: a folder, or the ToyADMOS tree."
        )
    first = next((take for take in corpus.takes() if isinstance(take, Recording)), None)
    if first is None:
        raise UserError(f"The stream must bring takes, but {corpus.name} brought none that can be used.")
    left_out = _LeftOut(say)
    source: Arrivals | Restreamed = (
        Arrivals(corpus, config, store, say, left_out) if store else Restreamed(corpus, config, left_out)
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
    )


class _LeftOut:
    """What could not be used: each once, however often the stream is read."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._known: dict[Skipped, None] = {}

    def add(self, skipped: Skipped) -> None:
        if skipped in self._known:
            return
        self._known[skipped] = None
        if len(self._known) <= MAX_LEFT_OUT_SAID:
            self._say(f"left out: {skipped.name}: {skipped.reason}")
        elif len(self._known) == MAX_LEFT_OUT_SAID + 1:
            self._say("more is left out, which python -m core.survey lists")

    def __iter__(self) -> Iterator[Skipped]:
        return iter(tuple(self._known))


class Arrivals:
    """Takes on their way into the store."""

    def __init__(
        self, corpus: StreamedCorpus, config: DataConfig, store: Store, say: Callable[[str], None], left_out: _LeftOut
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
        """The training clip that arrived as number `position`, from 0; None where there are not so many."""
        self._wait(lambda: len(self._clips) > position)
        return self._clips[position] if position < len(self._clips) else None

    def everything(self) -> Sequence[Clip]:
        """All training clips, once they are there. UserError where there are none."""
        self._wait(lambda: False)
        if not self._clips:
            raise _nothing_to_train_on(self._corpus)
        return self._clips

    @cached_property
    def judged(self) -> Mapping[str, ClipSet]:
        """What is judged, once it is there."""
        with self._news:
            self._start()
            missing = self._judging.missing
            if missing and not self._has_ended:
                self._say(f"evaluation waits for {missing[0]}" + (f" and {len(missing) - 1} more" * (len(missing) > 1)))
        self._wait(lambda: self._judging.is_complete)
        return self._judging.clips()

    def describe(self) -> str:
        counts = ", ".join(f"{self._counts[name]} {name}" for name in ("train", *JUDGED))
        if self._has_ended:
            return counts
        room = f"{os.path.relpath(self._store.directory)}, which may grow to {self._store.max_bytes / 1e9:g} GB"
        return f"as they arrive, trained on from the first ones; kept in {room}"

    def close(self) -> None:
        """Lets go of the stream. What has arrived stays in the store."""
        self._is_closing = True
        if self._thread is not None:
            self._thread.join(SECONDS_TO_CLOSE)

    def _wait(self, is_there: Callable[[], bool]) -> None:
        """Until it is there or the stream has ended; raises what went wrong with the stream."""
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
        except BaseException as error:  # whoever waits raises it
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
    """The first pass as the clips arrive, later ones in an order by the seed."""

    def __init__(self, arrivals: Arrivals, seed: int) -> None:
        self._arrivals, self._seed = arrivals, seed

    def all_of(self, most: int) -> Sequence[Clip] | None:
        return self._arrivals.everything() if self._arrivals.clip(most) is None else None

    def at(self, position: int) -> Clip:
        clip = self._arrivals.clip(position)
        if clip is not None:
            return clip
        return ListedOrder(self._arrivals.everything(), self._seed, first_pass_as_listed=True).at(position)


class Restreamed:
    """Without a store: every trial streams for itself, pass after pass."""

    def __init__(self, corpus: StreamedCorpus, config: DataConfig, left_out: _LeftOut) -> None:
        self._corpus, self._config, self._left_out = corpus, config, left_out

    def order(self, seed: int) -> ClipOrder:  # noqa: ARG002 (the stream has the order that it has)
        return _PassingOrder(self._training_clips, self._corpus)

    @cached_property
    def judged(self) -> Mapping[str, ClipSet]:
        """What is judged, from a pass of its own that ends as soon as all of it is there."""
        judging = JudgedTakes(self._config, self._corpus.machines)
        for take in self._pass(*JUDGED):
            judging.offer(str(split_of(take.recording, self._config.split)), take)
            if judging.is_complete:
                break
        return judging.clips()

    def describe(self) -> str:
        return "as they arrive, anew for every trial"

    def close(self) -> None:
        """Nothing goes on in the background."""

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
    """Pass after pass in the order of arrival; of the clips that went by only the latest pool is held."""

    def __init__(self, open_pass: Callable[[], Iterator[Clip]], corpus: StreamedCorpus) -> None:
        self._open_pass, self._corpus = open_pass, corpus
        self._clips = open_pass()
        self._held: deque[Clip] = deque(maxlen=POOL_CLIPS + 1)
        self._num_read = 0

    def all_of(self, most: int) -> Sequence[Clip] | None:
        """To be asked before any position is; `most` is at most POOL_CLIPS."""
        while self._num_read <= most:
            clip = next(self._clips, None)
            if clip is None:
                if not self._held:
                    raise _nothing_to_train_on(self._corpus)
                return tuple(self._held)
            self._hold(clip)
        return None

    def at(self, position: int) -> Clip:
        """Positions may go back by less than a pool."""
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


def _nothing_to_train_on(corpus: StreamedCorpus) -> UserError:
    return UserError(f"The stream must bring normal takes to train on, but {corpus.name} brought none.")
