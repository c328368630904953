"""Checks whether services answer, for docker-compose.yml: python -m hpo.stack.health ADDRESS ...

Exit code 0 when all answer, 1 with a line about the first that does not. An http address must answer with success, a
postgresql address must accept a connection. It imports very little, because it runs every few seconds.
"""

import sys
from urllib.error import URLError
from urllib.request import urlopen

from hpo.tracking.safe_url import safe_text, safe_url

SECONDS = 5


def check(address: str) -> None:
    """Raises OSError where no service answers."""
    if address.startswith("postgresql:"):
        import psycopg2  # type: ignore[import-untyped]  # here: the servers' own checks need no driver

        try:
            psycopg2.connect(address, connect_timeout=SECONDS).close()
        except psycopg2.OperationalError as error:
            raise OSError(str(error)) from error
    else:
        with urlopen(address, timeout=SECONDS):
            pass


def main(addresses: list[str]) -> int:
    for address in addresses:
        try:
            check(address)
        except (URLError, OSError) as error:
            reason = safe_text(str(error).splitlines()[0], url=address)
            print(f"{safe_url(address)} does not serve: {reason}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
