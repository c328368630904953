"""How much a network leaves unlearned, after a short and after a long training, on healthy takes that it has not heard.

    python benchmarks/whiteness.py --cars folder:../shared/recordings/cars --fan folder:../shared/recordings/fan

The front end and the network are those of studies/any_machine.toml. The clips are healthy ones of validation: the limit
MOST_UNLEARNED_BITS of core/model/whiteness.py was set by these figures, and test clips are not looked at. A training of
more than one of the study's epochs is divided into epochs of about that length.
"""

import argparse
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)  # so that `core` is found without being installed

from benchmarks.judged_elsewhere import corpus_of, dataset_of
from core.data.dataset import Dataset
from core.model.clips_to_score import ClipsToScore
from core.model.scored_training import scored_epochs
from core.model.scoring import clip_innovations
from core.model.wavenet import WaveNet
from core.model.whiteness import Whiteness, whiteness_of
from core.study_files import find_study_file
from core.thread_pool import ThreadPool
from hpo.search.study_file import load_study_file
from hpo.search.study_spec import StudySpec


def whiteness_after(seconds: float, dataset: Dataset, spec: StudySpec, pool: ThreadPool) -> tuple[Whiteness, float]:
    """Of healthy validation clips, and the bits a sample that the network saves against one without memory."""
    config = spec.default_experiment
    epochs = max(1, round(seconds / config.training.seconds_per_epoch))
    training = replace(config.training, epochs=epochs, seconds_per_epoch=seconds / epochs)
    context = config.wavenet(dataset.num_channels).receptive_field_samples
    setup = replace(config.training_setup(dataset.num_channels, context), training=training)
    with tempfile.TemporaryDirectory() as folder:
        *_, last = scored_epochs(setup, dataset, Path(folder), seed=1, device=torch.device("cpu"), pool=pool)
    model, clips = WaveNet(setup.network), dataset.validation
    model.load_state_dict(last.weights)
    rows = np.flatnonzero(~clips.is_anomalous)
    first_samples = [round(clips.starts_s[row] * setup.front_end.sample_rate_hz) for row in rows]
    healthy = ClipsToScore.encoded(last.front_end, clips.waveforms[rows], first_samples)
    z = clip_innovations(model, healthy, context_samples=context, pool=pool)
    saved = last.memoryless_bits["validation"] - float(last.scores["validation"].surprise.mean())
    return whiteness_of(z, dataset.num_channels), saved


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cars", help="such as folder:../shared/recordings/cars")
    parser.add_argument("--fan", help="such as folder:../shared/recordings/fan")
    parser.add_argument("--tasks", nargs="+", default=["cars", "fan", "simulated"])
    parser.add_argument("--seconds", type=float, nargs="+", default=[20.0, 360.0], help="of training")
    parser.add_argument("--fold", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=Path("runs/whiteness"), help="of decoded sound")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    spec = load_study_file(find_study_file("any_machine"))
    print("| task | training, s | unlearned, bits | by microphone | bits saved | variance | largest autocorrelation |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    with ThreadPool(1) as pool:
        for task in options.tasks:
            corpus, rate_hz = corpus_of(task, options.fold, options), spec.front_end.sample_rate_hz
            dataset = dataset_of(corpus, options.fold, spec, options.folder, network_rate_hz=rate_hz)
            for seconds in options.seconds:
                found, saved = whiteness_after(seconds, dataset, spec, pool)
                bits = found.unlearned_bits
                largest = np.abs(found.autocorrelations[:, 1:]).max()
                cells = [task, f"{seconds:g}", f"{bits.mean():.3f}", f"{bits.min():.3f} to {bits.max():.3f}"]
                cells += [f"{saved:.2f}", f"{found.variances.min():.2f} to {found.variances.max():.2f}"]
                print(f"| {' | '.join([*cells, f'{largest:.2f}'])} |", flush=True)


if __name__ == "__main__":
    main()
