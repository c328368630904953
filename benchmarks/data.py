"""Memory and start-up of a study on generated clips of 11 s from four microphones, few and many.

    python benchmarks/data.py [--takes 200 2000] [--sources toyadmos hub hub-no-store] [--folder /tmp]

Memory: the highest anonymous memory (RssAnon of /proc) of the whole command on a study of two trials, polled every
10 ms: decoding, training, evaluation, report. Pages of files that the kernel keeps, such as the store's, are no part of
it. Start-up, on the same store: the time before the first step of the first trial, and of a second trial with another
network. For a stream also the share of the set that was read before the first step.
Needs about 3.5 MB of disk for each take and source, and frees it at the end.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
if __name__ == "__main__":
    sys.path[0] = str(ROOT)  # so that `core` is found without being installed

from core.data.dataset import Dataset  # noqa: E402
from core.data.store import Store  # noqa: E402
from core.model.training_codes import fit_to_training  # noqa: E402
from core.model.wavenet import WaveNet  # noqa: E402
from core.sources import known_options, open_source  # noqa: E402
from hpo.search.data_by_rate import open_datasets  # noqa: E402
from hpo.search.study_file import load_study_file  # noqa: E402
from hpo.search.study_spec import StudySpec  # noqa: E402
from tests.hub_layout import HubLayout, write_hub_copy  # noqa: E402
from tests.toyadmos_layout import write_tree  # noqa: E402

SECONDS, RATE_HZ, MICROPHONES = 11.0, 16_000, (1, 2, 3, 4)
STUDY = """
goal = "What does the data cost?"
[data]
source = "simulated"
cases = [1]
microphones = [1, 2, 3, 4]
[clips]
clip_seconds = 10
evaluation_seconds = 40
calibration_seconds = 20
[front_end]
sample_rate_hz = 16000
[network]
dilation_depth = 4
residual_channels = 4
receptive_field_ms = 2
skip_channels = 4
[training]
epochs = 2
seconds_per_epoch = 4
batch_windows = 4
window_targets = 2048
[space]
residual_channels = { low = 4, high = 8, step = 4 }
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--takes", type=int, nargs="+", default=[200, 2000])
    parser.add_argument("--sources", nargs="+", default=["toyadmos", "hub", "hub-no-store"])
    parser.add_argument("--folder", type=Path, help="where the clips are written (default: the system's)")
    arguments = parser.parse_args()
    for source in arguments.sources:
        peaks = [measure(source, num_takes, arguments.folder) for num_takes in arguments.takes]
        print(f"{source}: peak of the last over the first {peaks[-1] / peaks[0]:.3f}", flush=True)


def measure(source: str, num_takes: int, folder: Path | None) -> float:
    """Prints a line and returns the peak in MB."""
    with project(source, num_takes, folder) as (root, spec):
        options = [] if source != "hub-no-store" else ["--no-store"]
        command = [sys.executable, "hpo/run_study.py", "--study", "studies/data.toml", "--data", spec]
        started = time.perf_counter()
        peak_mb = peak_anonymous_mb([*command, "--trials", "2", "--threads", "1", *options], root)
        seconds = time.perf_counter() - started
        line = f"{source:13} {num_takes:5} takes: peak {peak_mb:6.1f} MB anonymous, {seconds:5.1f} s for two trials"
        if source != "hub-no-store":
            line += "; first step after " + start_up(root, spec, num_takes)
        print(line, flush=True)
        return peak_mb


@contextmanager
def project(source: str, num_takes: int, folder: Path | None) -> Iterator[tuple[Path, str]]:
    """A copy of the programs with a study file and clips, and the value of --data. Three in four takes are normal."""
    with tempfile.TemporaryDirectory(prefix="data-benchmark-", dir=folder) as name:
        root = Path(name)
        for part in ("core", "hpo"):
            shutil.copytree(ROOT / part, root / part, ignore=shutil.ignore_patterns("__pycache__"))
        (root / "studies").mkdir()
        (root / "studies/data.toml").write_text(STUDY)
        if source == "toyadmos":
            write_tree(
                root,
                num_normal=num_takes * 3 // 4,
                num_anomalous=num_takes // 4,
                microphones=MICROPHONES,
                rate_hz=RATE_HZ,
                seconds=SECONDS,
            )
            yield root, f"toyadmos:{root}"
        else:
            layout = HubLayout(num_train=num_takes // 2, microphones=MICROPHONES, seconds=SECONDS, rate_hz=RATE_HZ)
            write_hub_copy(root / "copy", layout)
            yield root, f"hub:{root / 'copy'}"


def peak_anonymous_mb(command: list[str], root: Path) -> float:
    process = subprocess.Popen(command, cwd=root, stdout=subprocess.DEVNULL)
    peak_kb = 0
    while process.poll() is None:
        status = Path(f"/proc/{process.pid}/status")
        try:
            lines = status.read_text().splitlines()
        except OSError:  # it has ended meanwhile
            break
        peak_kb = max([peak_kb, *(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))])
        time.sleep(0.01)
    if process.wait():
        raise SystemExit(f"{' '.join(command)} ended with exit code {process.returncode}")
    return peak_kb / 1000


def start_up(root: Path, data: str, num_takes: int) -> str:
    """Seconds before the first step: of a stream into an empty store, and from the store that the study has filled."""
    spec = load_study_file(root / "studies/data.toml")
    options = {key: value for key, value in spec.data.items() if key in known_options(data)}
    words = []
    if data.startswith("hub:"):
        empty = Store(root / "empty")
        started = time.perf_counter()
        datasets = open_datasets(
            open_source(data, options=options, store=empty), spec, skip_bad_files=False, store=empty
        )
        prepare_first_step(spec, datasets.default)
        seconds = time.perf_counter() - started
        words.append(f"{seconds:.1f} s from the stream, with {len(list(empty.files()))} of {num_takes} takes read")
        datasets.close()
    full = Store(root / "runs/store")
    started = time.perf_counter()
    datasets = open_datasets(open_source(data, options=options, store=full), spec, skip_bad_files=False, store=full)
    prepare_first_step(spec, datasets.default)
    words.append(f"{time.perf_counter() - started:.1f} s from the store")
    started = time.perf_counter()
    prepare_first_step(replace(spec, network=replace(spec.network, residual_channels=8)), datasets.default)
    words.append(f"{time.perf_counter() - started:.2f} s in the second trial")
    datasets.close()
    return ", ".join(words)


def prepare_first_step(spec: StudySpec, dataset: Dataset) -> None:
    """What `run_experiment` does before its first step, and the windows of that step."""
    training, network = spec.training, spec.default_experiment.wavenet(dataset.num_channels)
    windows, sample = fit_to_training(spec.front_end, dataset.training.order(1), dataset.measurements)
    WaveNet(network).start_from_marginals(sample)
    windows.draw(
        step=0,
        num_windows=training.batch_windows,
        num_samples=network.receptive_field_samples + training.window_targets,
        random=np.random.default_rng(0),
    )


if __name__ == "__main__":
    main()
