"""Writes small folders of audio for tests, and lists them."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import soundfile

from core.data.recordings import Corpus
from core.sources import NO_OPTIONS
from core.sources.folders.source import open_folder

RATE_HZ = 8000


def noise(num_channels: int = 1, num_samples: int = 4000, seed: int = 0) -> np.ndarray:
    """(T, C) of uniform noise at half of full scale."""
    return np.random.default_rng(seed).uniform(-0.5, 0.5, (num_samples, num_channels))


def write(path: Path, samples: np.ndarray | None = None, rate_hz: int = RATE_HZ, **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, noise() if samples is None else samples, rate_hz, **options)
    return path


def table(path: Path, *rows: str, header: str = "path,machine,label") -> Path:
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def listed(path: Path, *, options: Mapping[str, object] = NO_OPTIONS, **more) -> Corpus:
    """With recordings that are copies of each other, as most are that `write` writes."""
    return open_folder(path, options, **more)
