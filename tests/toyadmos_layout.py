"""Writes a tree of the layout of ToyADMOS's toy car, since the recordings themselves may not be passed on.

The sound is noise that depends on the file's name alone, with a tone in it where the take is anomalous. Cheap enough
to write thousands of takes.
"""

import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

POOL_SAMPLES = 2**20
FOLDERS = {("normal", "IND"): "NormalSound_IND", ("normal", "CNT"): "NormalSound_CNT"}
NOISE_FOLDER = "EnvironmentalNoise_CNT"


def write_tree(
    root: Path,
    *,
    cases: Sequence[int] = (1,),
    num_normal: int = 2,
    conditions: Sequence[str] = ("ab01",),
    num_anomalous: int = 1,
    num_continuous: int = 0,
    num_noises: int = 0,
    microphones: Sequence[int] = (1, 2, 3, 4),
    rate_hz: int = 8000,
    seconds: float = 0.1,
    noise_rate_hz: int | None = None,
    noise_seconds: float = 0.5,
    subtype: str = "PCM_16",
) -> Path:
    """Makes a `ToyCar` folder below `root`. `num_anomalous` is per condition, all other numbers per case."""
    tree = root / "ToyCar"
    takes = [
        *(("normal", "IND", take) for take in range(1, num_normal + 1)),
        *((condition, "IND", take) for condition in conditions for take in range(1, num_anomalous + 1)),
        *(("normal", "CNT", take) for take in range(1, num_continuous + 1)),
    ]
    names = [
        take_name(case=case, condition=condition, style=style, microphone=microphone, take=take)
        for case in cases
        for condition, style, take in takes
        for microphone in microphones
    ]
    for name in names:
        write(tree / name, rate_hz=rate_hz, seconds=seconds, subtype=subtype)
    for take in range(1, num_noises + 1):
        for microphone in microphones:
            name = noise_name(microphone=microphone, take=take)
            write(tree / name, rate_hz=noise_rate_hz or rate_hz, seconds=noise_seconds, subtype=subtype)
    return tree


def take_name(
    *, case: int = 1, condition: str = "normal", style: str = "IND", microphone: int = 1, take: int = 1
) -> str:
    """Below `ToyCar`."""
    folder = FOLDERS.get((condition, style), "AnomalousSound_IND")
    number = 0 if condition == "normal" else int(condition[2:])
    digits = f"1{case}{number:02d}{microphone:02d}{take:04d}"
    return f"case{case}/{folder}/{digits}_ToyCar_case{case}_{condition}_{style}_ch{microphone}_{take:04d}.wav"


def noise_name(*, microphone: int = 1, take: int = 1) -> str:
    """Below `ToyCar`."""
    return f"{NOISE_FOLDER}/1900{microphone:02d}{take:04d}_ToyCar_N_CNT_ch{microphone}_{take:04d}.wav"


def write(path: Path, *, rate_hz: int = 8000, seconds: float = 0.1, subtype: str = "PCM_16") -> Path:
    """One file with the sound of its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, sound(path.name, num_samples=round(rate_hz * seconds)), rate_hz, subtype=subtype)
    return path


def sound(name: str, *, num_samples: int) -> npt.NDArray[np.float32]:
    """(num_samples,) within +-0.5, different for each name."""
    start = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]) % POOL_SAMPLES
    samples = 0.3 * np.take(_pool(), np.arange(start, start + num_samples), mode="wrap")
    if "_ab" in name:
        samples += 0.2 * np.sin(0.5 * np.arange(num_samples, dtype=np.float32))
    return samples


@cache
def _pool() -> npt.NDArray[np.float32]:
    return np.random.default_rng(0).uniform(-1, 1, POOL_SAMPLES).astype(np.float32)
