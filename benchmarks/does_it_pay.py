"""Does a search pay? Studies are replayed on a table of trainings of simulated cars, and judged on fresh takes.

python benchmarks/does_it_pay.py --table FOLDER [--cars 20] [--points 40] [--seeds 2] [--fresh 2000]
"""

import argparse
import sys
import time
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)  # so that `core` is found without being installed

from benchmarks.table_of_trainings import make_training, places
from core.thread_pool import ThreadPool
from hpo.search.study_file import load_study_file

STUDY = Path(__file__).resolve().parent.parent / "studies/quickstart.toml"


def make_table(options: argparse.Namespace) -> None:
    spec = load_study_file(STUDY)
    with ThreadPool(1) as pool:
        for place in places(cars=options.cars, points=options.points, seeds=options.seeds):
            path = place.file(options.table)
            if path.exists():
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            started = time.monotonic()
            make_training(place, spec, options.table, num_fresh=options.fresh, pool=pool)
            print(f"{path.relative_to(options.table)}: {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument("--cars", type=int, default=20)
    parser.add_argument("--points", type=int, default=40)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--fresh", type=int, default=2000)
    options = parser.parse_args()
    make_table(options)


if __name__ == "__main__":
    main()
