"""python -m core.store: what the store of decoded audio holds; with `--empty` it is emptied."""

import sys
from pathlib import Path

from core.command_line import Parser
from core.data.store import DEFAULT_DIRECTORY, Store
from core.errors import UserError


def main(arguments: list[str]) -> int:
    parser = Parser(prog="python -m core.store", description="What the store of decoded audio holds.")
    parser.add_argument("--store", type=Path, default=DEFAULT_DIRECTORY, metavar="DIR")
    parser.add_argument("--empty", action="store_true", help="remove all of it; studies prepare what they need anew")
    try:
        options = parser.parse_args(arguments)
        store = Store(options.store)
        files = list(store.files())
        print(f"{store.directory}: {len(files)} files, {store.used_bytes() / 1e9:.3g} GB")
        if options.empty:
            print(f"emptied: {store.empty() / 1e9:.3g} GB")
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
