"""The study's clips at every rate at which it reads them: the same stretches of the same takes at each rate."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from core.data.data_config import DataConfig
from core.data.dataset import Dataset, prepare_dataset
from core.data.decoding import check_not_upsampled
from core.data.judged_clips import JUDGED
from core.data.recordings import Corpus, StreamedCorpus, long_enough
from core.data.store import Store
from core.data.streaming.streamed_dataset import stream_dataset
from core.errors import UserError
from hpo.search.preparation import PreparationBar
from hpo.search.study_spec import StudySpec


class Datasets:
    """One Dataset a sample rate, prepared when it is first asked for, and kept."""

    def __init__(self, open_at: Callable[[int], Dataset], rates_hz: Sequence[int]) -> None:
        """`rates_hz` are all rates of the study, the default configuration's first."""
        self._open_at, self._rates_hz = open_at, rates_hz
        self._opened: dict[int, Dataset] = {}

    @property
    def default(self) -> Dataset:
        """At the default configuration's rate."""
        return self.at(self._rates_hz[0])

    @property
    def num_channels(self) -> int:
        return self.default.num_channels

    def at(self, sample_rate_hz: int) -> Dataset:
        """UserError where the clips at this rate cannot be those at the default's."""
        if sample_rate_hz not in self._opened:
            dataset = self._open_at(sample_rate_hz)
            if sample_rate_hz != self._rates_hz[0]:
                check_same_clips(self.default, dataset)
            self._opened[sample_rate_hz] = dataset
        return self._opened[sample_rate_hz]

    def open_all(self) -> None:
        """Prepares every rate. Called before trial 0, so that an error of one of them is raised then."""
        for rate in self._rates_hz:
            self.at(rate)

    def close(self) -> None:
        """Stops what reads in the background."""
        for dataset in self._opened.values():
            dataset.close()


def open_datasets(
    corpus: Corpus | StreamedCorpus, spec: StudySpec, *, skip_bad_files: bool, store: Store | None
) -> Datasets:
    """Prepares the default rate. UserError where the data do not allow the study at every rate."""
    default_hz = spec.front_end.read_rate_hz
    others_hz = [rate for rate in spec.search_space.read_rates_hz if rate != default_hz]
    if others_hz and isinstance(corpus, StreamedCorpus):
        raise UserError(
            "space.sample_rate_hz must be left out where the data is streamed, as a stream is read once and at one "
            f"rate, but got {len(others_hz) + 1} rates. Search it on a copy of the data, or fix it in [front_end]."
        )
    if isinstance(corpus, Corpus):
        usable = long_enough(corpus.recordings, spec.clips.clip_seconds)
        check_not_upsampled(usable, max([default_hz, *others_hz]))
    datasets = Datasets(
        partial(_open_dataset, corpus, spec, skip_bad_files=skip_bad_files, store=store), [default_hz, *others_hz]
    )
    datasets.at(default_hz)
    return datasets


def _open_dataset(
    corpus: Corpus | StreamedCorpus,
    spec: StudySpec,
    sample_rate_hz: int,
    *,
    skip_bad_files: bool,
    store: Store | None,
) -> Dataset:
    """Prepares a corpus that is listed; one that is streamed is prepared as it arrives."""
    config = DataConfig(
        sample_rate_hz=sample_rate_hz,
        clips=spec.clips,
        split=spec.split,
        skip_bad_files=skip_bad_files,
        noise=spec.noise,
        splice=spec.splice,
        faults=spec.faults,
        speed_perturbation=spec.speed_perturbation,
        network_rate_hz=spec.search_space.network_rate_hz(sample_rate_hz),
    )
    if isinstance(corpus, StreamedCorpus):
        return stream_dataset(corpus, config, store=None if store is None or store.is_read_only else store)
    what = f"at {sample_rate_hz} Hz" + (" and at other speeds" if spec.speed_perturbation else "")
    return prepare_dataset(corpus, config, store=store, progress=PreparationBar(what))


def check_same_clips(first: Dataset, second: Dataset) -> None:
    """UserError unless the judged clips are the same at both rates, to a sample: others do not compare."""
    sample_s = 1 / min(first.sample_rate_hz, second.sample_rate_hz)
    for name in JUDGED:
        one, other = first.judged()[name], second.judged()[name]
        is_same = one.recording_ids == other.recording_ids and np.array_equal(one.is_anomalous, other.is_anomalous)
        if not is_same or not np.allclose(one.starts_s, other.starts_s, rtol=0, atol=sample_s):
            raise UserError(
                f"space.sample_rate_hz must be of rates at which the same clips can be judged, but the {name} clips at "
                f"{second.sample_rate_hz} Hz are not those at {first.sample_rate_hz} Hz. Leave one of them out, or "
                "shorten clips.clip_seconds a little."
            )
