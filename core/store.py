"""The command `store`: how much the store of decoded audio holds. `--empty` removes all of it."""

import argparse
import sys
from pathlib import Path

from core.command_line import Parser, run_command
from core.errors import UserError
from core.project import STORE, find_project

EXAMPLES = (
    "machine-listening store                  # its files and gigabytes",
    "machine-listening store --empty          # studies decode again what they need",
    "machine-listening store --store DIR      # another store than the project's",
)


def parse(arguments: list[str], root: Path) -> argparse.Namespace:
    parser = Parser(
        prog="machine-listening store", description="How much the store of decoded audio holds.", examples=EXAMPLES
    )
    parser.add_argument("--store", type=Path, metavar="DIR", help="default: runs/store of the project")
    parser.add_argument("--empty", action="store_true", help="remove all of it; studies decode again what they need")
    options = parser.parse_args(arguments)
    if options.store is not None and not options.store.is_dir():
        raise UserError(f"--store must be a folder that exists, but got {options.store}. Correct the path.")
    options.store = options.store or root / STORE  # which the first study makes
    return options


def show_store(options: argparse.Namespace) -> int:
    from core.data.store import Store  # here, because --help should not wait for numpy

    store = Store(options.store)
    print(f"{store.directory}: {len(list(store.files()))} files, {store.used_bytes() / 1e9:.3g} GB")
    if options.empty:
        print(f"emptied: {store.empty() / 1e9:.3g} GB")
    return 0


def main(arguments: list[str], root: Path | None = None) -> int:
    """`root` is the project's folder; by default `find_project` finds it."""
    return run_command(lambda: show_store(parse(arguments, root or find_project().root)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
