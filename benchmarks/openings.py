"""How long a corpus of many short takes takes to open: the first time, with all decoding, and the second time.

    python benchmarks/openings.py [--takes 1000 10000] [--folder /tmp]

Takes of 2 s, one microphone, 16 kHz, as wav files in two folders; the study's rate is 4 kHz. Each opening is a process
of its own, measured after its imports: listing, then dataset (decoding, clips). `cores` is processor time by time. The
files have just been written, so the system reads them from its memory. 10,000 takes need 0.8 GB of disk, which are
freed at the end.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)  # so that `core` is found without being installed

from benchmarks.machine import describe_machine
from core.data import digests
from core.data.clips import ClipConfig
from core.data.data_config import DataConfig
from core.data.dataset import prepare_dataset
from core.data.recordings import Corpus
from core.data.splits import SplitConfig
from core.data.store import Store
from core.sources import open_source

SECONDS, RATE_HZ, STUDY_RATE_HZ = 2.0, 16_000, 4000


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--takes", type=int, nargs="+", default=[1000, 10_000])
    parser.add_argument("--folder", type=Path, help="where the takes are written (default: the system's)")
    parser.add_argument("--open", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.open:
        print(timed_opening(arguments.open))
        return
    print(f"{describe_machine()}\n")
    print("| takes | opening | listing s | dataset s | cores | processor time, ms a take |")
    print("| --- | --- | --- | --- | --- | --- |")
    for num_takes in arguments.takes:
        with tempfile.TemporaryDirectory(prefix="openings-", dir=arguments.folder) as root:
            write_takes(Path(root) / "takes", num_takes)
            time.sleep(2 * digests.RACY_NS / 1e9)  # what has just been written is not cached
            for name in ("first", "second"):
                print_row(num_takes, name, opened(Path(root)))


def write_takes(folder: Path, num_takes: int) -> None:
    """Three in four are normal."""
    for label in ("normal", "broken"):
        (folder / label).mkdir(parents=True)
    sound = np.random.default_rng(0).normal(size=round(SECONDS * RATE_HZ)) / 10
    for number in range(num_takes):
        name = f"{'broken' if number % 4 == 0 else 'normal'}/{number:05}.wav"
        soundfile.write(folder / name, np.roll(sound, number), RATE_HZ)  # so that no two files are equal


def opened(root: Path) -> list[float]:
    done = subprocess.run([sys.executable, __file__, "--open", root], check=True, capture_output=True, text=True)
    return [float(figure) for figure in done.stdout.split()]


def timed_opening(root: Path) -> str:
    """Seconds of listing and of the dataset, and processor seconds of both."""
    store = Store(root / "store")
    times, processor = [time.perf_counter()], time.process_time()
    corpus = open_source(f"folder:{root / 'takes'}", store=store)
    times.append(time.perf_counter())
    assert isinstance(corpus, Corpus)
    config = DataConfig(sample_rate_hz=STUDY_RATE_HZ, clips=ClipConfig(clip_seconds=SECONDS), split=SplitConfig())
    prepare_dataset(corpus, config, store=store).close()
    times.append(time.perf_counter())
    return f"{times[1] - times[0]} {times[2] - times[1]} {time.process_time() - processor}"


def print_row(num_takes: int, name: str, figures: list[float]) -> None:
    listing, dataset, processor = figures
    cores, a_take = processor / (listing + dataset), 1000 * processor / num_takes
    print(f"| {num_takes} | {name} | {listing:.2f} | {dataset:.2f} | {cores:.1f} | {a_take:.2f} |", flush=True)


if __name__ == "__main__":
    main()
