"""Points of post-processing a minute on one core, as a study's companion tries them, and what storing them takes.

    python benchmarks/post_search.py [--points 2000] [--profile]

Scores are random. There are two validation sets: four microphones with short clips, and one with long clips.
"""

import argparse
import cProfile
import pstats
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import optuna

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)  # so that `core` is found without being installed

from core.decision.checkpoint import Detector
from core.decision.postprocess import PostprocessingConfig
from core.decision.score_file import ScoredClips
from core.decision.statistic import fit_scalar
from core.model.frame_statistics import num_statistics
from core.model.frontend import FrontEnd, FrontEndConfig
from core.model.scoring import FrameScores, ScoringConfig
from core.model.wavenet import WaveNet
from core.model.wavenet_config import WaveNetConfig
from hpo.results.judged_trial import JudgedTrial, judge_scores
from hpo.results.post_study import PostSearch, search_post
from hpo.search.storage import StudyStorage

SHAPES = ((36, 4, 80, 1), (24, 1, 400, 4))
"""Validation clips, channels, frames, machines; a third as many clips for calibration."""


def trial_of(num_clips: int, num_channels: int, num_frames: int, num_machines: int) -> JudgedTrial:
    """A trial that left random scores; its network is never used."""
    random = np.random.default_rng(0)

    def clips(count: int) -> ScoredClips:
        shape = (count, num_channels, num_frames)
        scores = [random.standard_normal(shape).astype(np.float32) for _ in range(3)]
        return ScoredClips(
            scores=FrameScores(
                surprise=scores[0],
                entropy=scores[1],
                normalised_residual=scores[2],
                statistics=np.zeros((*shape, num_statistics(num_channels)), np.float16),
            ),
            recording_ids=tuple(str(i) for i in range(count)),
            machines=tuple(str(i % num_machines) for i in range(count)),
            conditions=("?",) * count,
            is_anomalous=np.arange(count) % 2 == 1,
        )

    scored = {"calibration": clips(num_clips // 3), "validation": clips(num_clips), "test": clips(num_clips)}
    calibration = scored["calibration"]
    statistic = fit_scalar(
        PostprocessingConfig(), calibration.scores.surprise, calibration.machines, frame_ms=ScoringConfig().frame_ms
    )
    detector = Detector(
        model=WaveNet(WaveNetConfig(num_channels=num_channels)),
        front_end=FrontEnd(config=FrontEndConfig(), channel_gains=(1.0,) * num_channels),
        scoring=ScoringConfig(),
        statistic=statistic,
        clip_samples=1,
        context_samples=0,
    )
    return judge_scores(detector, scored)


def seconds_to_store(found: PostSearch, url: str) -> float:
    """Of 500 points, as trials of a study."""
    study = optuna.create_study(storage=StudyStorage(url).backend, direction="maximize")
    trials = [found.frozen(point) for point in found.points[:500]]
    started = time.monotonic()
    study.add_trials(trials)
    return time.monotonic() - started


def main() -> None:
    parser = argparse.ArgumentParser(description="Points of post-processing a minute.")
    parser.add_argument("--points", type=int, default=2000)
    parser.add_argument("--profile", action="store_true", help="where the time goes")
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    for shape in SHAPES:
        trials = {number: trial_of(*shape) for number in range(3)}
        profile = cProfile.Profile(builtins=options.profile, subcalls=options.profile)
        if options.profile:
            profile.enable()
        found = search_post(trials, {}, num_points=options.points, seed=1, objective="expected_f1")
        profile.disable()
        num_points = len(found.points)
        clips, channels, frames, machines = shape
        print(
            f"{clips} clips x {channels} x {frames}, {machines} machine(s): {num_points:,} points in "
            f"{found.seconds:.2f} s, {60 * num_points / found.seconds:,.0f} a minute"
        )
        if options.profile:
            pstats.Stats(profile).sort_stats("tottime").print_stats(6)
    with tempfile.TemporaryDirectory() as folder:
        for kind, url in (("journal file", f"{folder}/journal"), ("SQLite", f"sqlite:///{folder}/optuna.db")):
            print(f"{kind}: {seconds_to_store(found, url):.2f} s to store {min(500, num_points)} points")


if __name__ == "__main__":
    main()
