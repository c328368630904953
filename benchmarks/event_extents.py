"""Where an event begins and ends: by change points, or by hysteresis, on validation clips. No clip is tested.

    python benchmarks/event_extents.py

The task `spliced` of benchmarks/innovations.py: a network a fold, whose statistics are kept in --folder. Change points
in the statistics, equal stretches of them with hysteresis, and the mean surprise with hysteresis: event F1 and segment
F1 at the best threshold of each fold, which is optimistic for all alike.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)  # so that `core` is found without being installed

from benchmarks.innovations import FOLDS, TASKS, best_events, config_of, dataset_of, statistics_of
from core.baselines.candidates import of_innovations
from core.data.dataset import Dataset
from core.decision.fitting import fit_statistic
from core.decision.postprocess import PostprocessingConfig
from core.experiment import ExperimentConfig
from core.model.frame_statistics import statistic_groups
from core.study_files import find_study_file
from hpo.search.study_file import load_study_file

HYSTERESES = (0.0, 0.5, 1.0, 2.0, 4.0)
WINDOWS_MS = (200.0, 500.0, 1000.0)
NETWORK = {"rate": 8000, "spectrum_rate": 16_000, "pre_emphasis": 0.5, "seconds": 180.0}
"""Options of benchmarks/innovations.py."""


def rules() -> Iterator[tuple[str, str, PostprocessingConfig]]:
    """In words, the kind of score, and the post-processing."""
    yield "change points", "innovations", of_innovations("all", "clip")
    plain = replace(of_innovations("all"), gap_ms=100.0, min_event_ms=250.0)
    for window_ms in WINDOWS_MS:
        yield "equal stretches", "innovations", replace(plain, window_ms=window_ms)
    for window_ms in WINDOWS_MS:
        yield "mean surprise", "surprise", replace(plain, window_ms=window_ms, baseline="clip")


def frames_by_kind(statistics: Mapping[str, np.ndarray]) -> dict[str, dict[str, np.ndarray]]:
    """By kind of score and split. Mean surprise is the first statistic of likelihood."""
    first = statistic_groups(1)["likelihood"].start
    surprise = {split: each[..., first].astype(np.float64) for split, each in statistics.items()}
    return {"innovations": dict(statistics), "surprise": surprise}


def figures(
    kind: str,
    post: PostprocessingConfig,
    frames: Mapping[str, Mapping[str, np.ndarray]],
    dataset: Dataset,
    config: ExperimentConfig,
) -> tuple[float, float]:
    """Event F1 and segment F1 of a fold."""
    healthy, clips = dataset.calibration, dataset.validation
    own = frames[kind]
    fitted = fit_statistic(
        post, own["calibration"], healthy.machines, healthy.recording_ids, frame_ms=config.scoring.frame_ms
    )
    context = config.wavenet(dataset.num_channels).receptive_field_samples
    return best_events(fitted.judge(own["validation"], clips.machines), clips, config, context)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cars", default="folder:../shared/recordings/cars")
    parser.add_argument("--folder", type=Path, default=Path("runs/innovations"), help="where statistics are kept")
    options = argparse.Namespace(**NETWORK, **vars(parser.parse_args()))
    options.folder.mkdir(parents=True, exist_ok=True)
    spec = load_study_file(find_study_file("any_machine"))
    config = config_of(options, spec)
    folds = []
    for fold in range(FOLDS):
        dataset = dataset_of(TASKS["spliced"], fold, options, spec)
        folds.append((frames_by_kind(statistics_of("spliced", fold, dataset, config, options.folder)), dataset))
    print(f"| event F1, segment F1 | window | {' | '.join(f'{each:g} sigmas' for each in HYSTERESES)} |")
    print("| --- " * (2 + len(HYSTERESES)) + "|")
    for words, kind, post in rules():
        cells = []
        for hysteresis in HYSTERESES:
            reaching = replace(post, hysteresis_sigmas=hysteresis)
            found = np.mean([figures(kind, reaching, frames, dataset, config) for frames, dataset in folds], axis=0)
            cells.append(f"{found[0]:.3f}, {found[1]:.3f}")
        print(f"| {words} | {post.window_ms:g} ms | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
