"""Anomaly detection by sound from Python. The guide is docs/python.md.

    source = machine_listening.open_source("folder:recordings")              recordings and their labels
    experiment = machine_listening.run_experiment("quickstart", ...)         one configuration, trained and measured
    detector = machine_listening.load_detector("runs/quickstart-simulated")  the winner of a study
    result = detector.score(waveform, rate)                                  decision, scores and events

The import loads no library: PyTorch and the others are imported by the first call that needs them. What the user can
repair raises UserError, whose message is one line.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core import __version__
from core.errors import UserError
from core.study_files import default_study, find_study_file

if TYPE_CHECKING:
    import numpy.typing as npt

    import core.decision.checkpoint
    from core.data.recordings import Corpus, Recording, StreamedCorpus
    from core.detection.decision import RecordingDecision
    from core.thread_pool import ThreadPool
    from hpo.search.search_space import SearchSpace

__all__ = [
    "Detector",
    "Experiment",
    "Source",
    "UserError",
    "__version__",
    "load_detector",
    "open_source",
    "run_experiment",
]


class Source:
    """Recordings of machines. Iterating decodes nothing: `recording.read()` returns the waveform (C, T)."""

    def __init__(self, corpus: "Corpus | StreamedCorpus") -> None:
        self._corpus = corpus
        self.name = corpus.name
        self.description = corpus.description
        self.fingerprint = corpus.fingerprint
        """Changes with the recordings and their labels."""

    def __iter__(self) -> "Iterator[Recording]":
        from core.data.recordings import Corpus, Recording

        found = self._corpus.recordings if isinstance(self._corpus, Corpus) else self._corpus.takes()
        return (each for each in found if isinstance(each, Recording))

    def counts(self) -> Counter[str]:
        """Recordings by label: normal, anomalous, unknown. Reads a streamed source to its end."""
        return Counter(recording.label for recording in self)


def open_source(source: str, **options: object) -> Source:
    """Opens what `--data` names, for example "folder:recordings" or "simulated".

    `options` are those of a study file's [data]. Raises UserError where the source cannot be read.
    """
    import core.sources

    return Source(core.sources.open_source(source, options=options))


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One configuration, trained and measured."""

    metrics: Mapping[str, float]
    """Figures of the best epoch, for example val_f1, val_auc, test_f1."""
    history: tuple[Mapping[str, float], ...]
    """The figures of every epoch."""
    detector_file: Path
    """For `load_detector`, and for the command `detect`."""


def run_experiment(
    study: str | None = None,
    *,
    directory: str | Path,
    data: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    device: str = "cpu",
    threads: int = 1,
) -> Experiment:
    """Trains the default configuration of a study file, with `parameters` changed, and measures it.

    `study` is a path or the name of a study file, by default the one that the command takes for this data. `data`
    replaces its source, and `parameters` are keys of its [space].
    `directory` gets the files; an interrupted training resumes from there.
    Raises UserError for what is wrong with the study file or the data, and for a configuration that cannot be trained.
    """
    import torch

    import core.experiment
    import core.sources
    from core.decision.checkpoint import DETECTOR_FILE
    from core.model.training import ConfigurationFailed
    from hpo.search.data_by_rate import open_datasets
    from hpo.search.study_file import load_study_file

    spec = load_study_file(find_study_file(str(study or default_study(data))))
    spec = replace(spec, data=core.sources.choose_source(spec.data, data, Path.cwd()))
    _check(parameters or {}, spec.search_space)
    options = {key: value for key, value in spec.data.items() if key != "source"}
    corpus = core.sources.open_source(spec.data["source"], options=options)
    spec = spec.settled(corpus)
    datasets = open_datasets(corpus, spec, skip_bad_files=False, store=None)
    config = spec.search_space.configuration(parameters or {})
    context_samples = spec.search_space.context_samples(config.front_end.sample_rate_hz)
    directory = Path(directory)
    try:
        with _thread_pool(threads) as pool:
            *_, last = core.experiment.run_experiment(
                config,
                datasets.at(config.front_end.read_rate_hz),
                directory,
                seed=spec.seed,
                context_samples=context_samples,
                device=torch.device(device),
                pool=pool,
            )
    except ConfigurationFailed as error:
        raise UserError(f"The configuration must be trainable, but {error}. Change the parameters.") from error
    finally:
        datasets.close()
    return Experiment(metrics=last.best, history=last.history, detector_file=directory / DETECTOR_FILE)


def _check(parameters: Mapping[str, Any], space: "SearchSpace") -> None:
    """UserError for a name or a value that the space does not have."""
    from hpo.search.parameters import describe_range

    space.configuration(parameters)
    for name, value in parameters.items():
        if not space.holds(name, value):
            raise UserError(f"{name} must lie in {describe_range(space.distributions[name])}, but got {value!r}.")


class Detector:
    """The winner of a study, ready for new sound."""

    def __init__(self, loaded: "core.decision.checkpoint.Detector") -> None:
        self._loaded = loaded
        self.sample_rate_hz = loaded.front_end.config.read_rate_hz
        self.num_channels = loaded.model.config.num_channels
        self.clip_seconds = loaded.clip_samples / self.sample_rate_hz
        """A clip is what is judged as a whole: a waveform must be as long, and a longer one has several."""
        self.threshold_sigmas = loaded.statistic.config.threshold_sigmas
        self.machines = loaded.statistic.machines
        """The machines that it was calibrated on."""

    def score(
        self,
        waveform: "npt.ArrayLike",
        rate: int,
        *,
        machine: str | None = None,
        threshold_sigmas: float | None = None,
        at_least: int | None = None,
        threads: int = 1,
    ) -> "RecordingDecision":
        """Judges (C, T) samples, or (T,) of one channel, at `rate` Hz, full scale 1.0.

        `threshold_sigmas` is used in place of the detector's own, and `at_least` is how many clips make a recording
        anomalous, 1 or more: by default more than half of them, or one where faults come and go.

        The result has `is_anomalous`, `score_sigmas`, `threshold_sigmas`, `clip_scores` (one a clip) and `events`
        (`start_s`, `end_s`, `microphone`). It equals that of the command `detect` for a file of these samples.
        Raises UserError for silence, NaN, another number of channels, a rate below the detector's, less than a clip or
        than `at_least` clips.
        """
        import numpy as np

        from core.data.recordings import REPAIR, BadRecording
        from core.detection.clips import judge_recording, requirements_of
        from core.detection.files import open_waveform

        machine, loaded = self._machine(machine), self._with(threshold_sigmas)
        if at_least is not None and (at_least < 1 or at_least != int(at_least)):
            raise UserError(f"at_least must be a whole number from 1 on, but got {at_least}.")
        try:
            audio = open_waveform(np.asarray(waveform), rate, requirements_of(loaded))
            with _thread_pool(threads) as pool:
                return judge_recording(audio, loaded, machine, pool=pool, min_anomalous_clips=at_least)
        except BadRecording as error:
            raise UserError(str(error).removesuffix(f" {REPAIR}")) from error

    def _with(self, threshold_sigmas: float | None) -> "core.decision.checkpoint.Detector":
        if threshold_sigmas is None:
            return self._loaded
        if not math.isfinite(threshold_sigmas):
            raise UserError(f"threshold_sigmas must be a finite number, but got {threshold_sigmas}.")
        return self._loaded.with_threshold(threshold_sigmas)

    def _machine(self, asked: str | None) -> str:
        machine = self.machines[0] if asked is None and len(self.machines) == 1 else asked
        if machine not in self.machines:
            raise UserError(f"machine must be one of {', '.join(self.machines)}, but got {asked!r}.")
        return machine


def load_detector(path: str | Path) -> Detector:
    """Loads a winner: from a study's folder, from the folder `winner` in it, or from the file itself.

    Raises UserError where there is none.
    """
    from core.decision.checkpoint import find_detector
    from core.decision.checkpoint import load_detector as load

    return Detector(load(find_detector(Path(path))))


@contextmanager
def _thread_pool(num_threads: int) -> "Iterator[ThreadPool]":
    """The pool sets PyTorch's own threads to one; the caller's number returns afterwards."""
    import torch

    from core.thread_pool import ThreadPool

    before = torch.get_num_threads()
    try:
        with ThreadPool(num_threads) as pool:
            yield pool
    finally:
        torch.set_num_threads(before)


if __name__ == "__main__":
    from hpo.subcommands import main

    raise SystemExit(main())
