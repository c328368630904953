"""Why the take CAR01_NORMAL, which idles faster than the others of its car, is judged faulty, and what prevents it.

    python benchmarks/odd_take.py --data folder:../shared/recordings/cars

The take belongs to the test of fold 1 of the car tasks. One network is trained three times: on the fold's takes as
recorded; on these at several speeds, as in the car studies; and on these and the take's own first half, which no
published figure may use. Each judges the take's second half against the faulty test takes of the car.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)  # so that `core` is found without being installed

from core.data.audio import AudioPart
from core.data.clips import Clip, clips_of
from core.data.decoding import read_all
from core.data.recordings import Corpus, Take
from core.data.speed_perturbation import takes_at_other_speeds
from core.data.splits import SplitConfig, split_recordings
from core.data.training_clips import ClipMeasurements, ListedOrder
from core.decision.metrics import auc
from core.experiment import ExperimentConfig
from core.model.clips_to_score import ClipsToScore
from core.model.scoring import score_clips
from core.model.training import train_epochs
from core.model.training_codes import fit_to_training
from core.model.wavenet import WaveNet
from core.sources import open_source
from core.thread_pool import ThreadPool
from hpo.search.study_file import load_study_file

ODD_TAKE = "normal/CAR01_NORMAL.flac"
STUDY = Path(__file__).resolve().parent.parent / "studies/cars_10s.toml"


def half(take: Take, number: int) -> Take:
    num_samples = take.audio.num_samples // 2
    return replace(take, audio=AudioPart(whole=take.audio, first=number * num_samples, num_samples=num_samples))


def mean_surprise(
    config: ExperimentConfig, clip_samples: int, trained_on: list[Take], judged: list[Take], pool: ThreadPool
) -> list[np.ndarray]:
    """The mean surprise in bits of each judged take's clips, by a network that is trained on `trained_on`."""
    rate = config.front_end.sample_rate_hz
    order = ListedOrder([clip for take in trained_on for clip in clips_of(take, clip_samples)], 1)
    windows, sample = fit_to_training(config.front_end, order, ClipMeasurements())
    torch.manual_seed(1)
    model = WaveNet(config.wavenet(1))
    model.start_from_marginals(sample)
    optimizer = torch.optim.Adam(model.parameters(), lr=config.training.learning_rate)
    for _ in train_epochs(model, optimizer, windows, config=config.training, sample_rate_hz=rate, seed=1, pool=pool):
        pass

    def score(clips: list[Clip]) -> np.ndarray:
        waveforms = np.stack([clip.read() for clip in clips])
        scores = score_clips(
            model,
            ClipsToScore.encoded(windows.front_end, waveforms, [clip.start for clip in clips]),
            context_samples=model.config.receptive_field_samples,
            frame_samples=config.scoring.frame_samples(rate),
            sample_rate_hz=rate,
            with_statistics=False,
            pool=pool,
        )
        return np.asarray(scores.surprise.mean(axis=(1, 2)))

    return [score(clips_of(take, clip_samples)) for take in judged]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="folder:../shared/recordings/cars")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    spec = load_study_file(STUDY)
    config, clips, speeds = spec.default_experiment, spec.clips, spec.speed_perturbation
    assert speeds
    corpus = open_source(options.data, options={})
    assert isinstance(corpus, Corpus)
    rate = config.front_end.sample_rate_hz
    read = read_all(corpus, sample_rate_hz=rate, min_seconds=clips.clip_seconds, skip_bad_files=False)
    takes = {take.recording.recording_id: take for take in read.takes}
    split = split_recordings(corpus.recordings, SplitConfig(folds=4, fold=0, calibration="parts"))
    train = [takes[recording.recording_id] for recording in split.train]
    odd, other = takes[ODD_TAKE], next(r for r in split.validation if r.machine == "CAR01" and r.label == "normal")
    faulty = [takes[r.recording_id] for r in split.test if r.machine == "CAR01" and r.label == "anomalous"]
    print("| trained on | its second half | another healthy take | faulty takes | AUC of its second half |")
    print("| --- | --- | --- | --- | --- |")
    trainings = {
        "the fold's training takes": train,
        "those at several speeds": [*train, *takes_at_other_speeds(train, corpus, speeds, rate, heard_rate_hz=rate)],
        "those, as recorded, and its first half": [*train, half(odd, 0)],
    }
    with ThreadPool(options.threads) as pool:
        for name, heard in trainings.items():
            judged = [half(odd, 1), takes[other.recording_id], *faulty]
            length = round(clips.clip_seconds * rate)
            second, healthy, *faults = mean_surprise(config, length, heard, judged, pool)
            scores = np.concatenate([second, *faults])
            labels = np.arange(len(scores)) >= len(second)
            bits = [f"{values.mean():.2f}" for values in (second, healthy, np.concatenate(faults))]
            print(f"| {name} | {bits[0]} | {bits[1]} | {bits[2]} | {auc(scores, labels):.2f} |", flush=True)


if __name__ == "__main__":
    main()
