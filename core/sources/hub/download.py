"""Reads from the Hub over the network: the files of a data set, and one file as a stream that survives disconnects.

A file is read once from start to end. If the connection breaks, it is opened again at the same byte. All retries are
decided here, because the Hub's own libraries wait for minutes and print warnings.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from tenacity import Retrying, retry_if_exception, stop_after_attempt, stop_after_delay, wait_exponential

from core.errors import UserError

TIMEOUT_S = 10.0
"""An attempt fails after this long without an answer."""
WORTH_ANOTHER_ATTEMPT = frozenset({408, 429, 500, 502, 503, 504})
CLOSED_TO_US = frozenset({401, 403, 404})
Answer = TypeVar("Answer")


@dataclass(frozen=True, kw_only=True)
class Retries:
    """How often and how long a request is retried."""

    num_attempts: int = 5
    """In a row, without receiving a byte."""
    first_wait_s: float = 1.0
    """Between the first two attempts; it is doubled after each further one."""
    longest_wait_s: float = 8.0
    give_up_after_s: float = 30.0
    """No attempt starts later than this after the first."""


@dataclass(frozen=True, kw_only=True)
class HubFile:
    """One file of a data set, at one commit."""

    repository: str
    commit: str
    name: str
    """Path within the data set, POSIX style."""
    num_bytes: int | None
    """None if the Hub does not state it."""


def list_files(repository: str, revision: str, *, retries: Retries) -> list[HubFile]:
    """All files at the current commit of `revision`, a branch, tag or commit.

    Raises UserError if the Hub cannot be reached, or refuses.
    """
    from huggingface_hub import HfApi  # imported here, because other sources do not need it
    from huggingface_hub.errors import RevisionNotFoundError

    def ask() -> list[HubFile]:
        try:
            info = HfApi().dataset_info(repository, revision=revision, files_metadata=True, timeout=TIMEOUT_S)
        except RevisionNotFoundError as error:
            raise UserError(
                f"data.revision must be a branch, tag or commit of {repository!r}, but got {revision!r}. Correct it."
            ) from error
        return [
            HubFile(repository=repository, commit=str(info.sha), name=file.rfilename, num_bytes=file.size)
            for file in info.siblings or ()
        ]

    return _with_retries(ask, repository, retries)


class HubDownload:
    """A file of the Hub that is read once, forwards. Holds one connection, which `close` closes."""

    def __init__(self, file: HubFile, *, retries: Retries) -> None:
        self._file = file
        self._retries = retries
        self._position = 0
        """The number of bytes of the file that have arrived."""
        self._ahead = memoryview(b"")
        self._pieces: Iterator[bytes] | None = None
        self._disconnect: Callable[[], None] = lambda: None

    def read(self, num_bytes: int = -1) -> bytes:
        """At most `num_bytes`, a positive number; b"" at the end. Raises UserError when all retries fail."""
        if not self._ahead:
            self._ahead = memoryview(_with_retries(self._receive, self._file.repository, self._retries))
        piece, self._ahead = self._ahead[:num_bytes], self._ahead[num_bytes:]
        return bytes(piece)

    def close(self) -> None:
        self._disconnect()
        self._pieces, self._disconnect = None, lambda: None

    def _receive(self) -> bytes:
        """The next piece, and b"" at the end. After an error, the next call opens a new connection."""
        if self._position == self._file.num_bytes:
            self.close()
            return b""
        try:
            if self._pieces is None:
                self._pieces = self._connect()
            piece = next(self._pieces, b"")
            if not piece and self._file.num_bytes is not None:
                raise ConnectionError(f"{self._file.name} ended after {self._position} of {self._file.num_bytes} bytes")
        except BaseException:
            self.close()
            raise
        self._position += len(piece)
        return piece

    def _connect(self) -> Iterator[bytes]:
        from huggingface_hub import get_session, hf_hub_url, hf_raise_for_status
        from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

        file = self._file
        url = hf_hub_url(file.repository, file.name, repo_type="dataset", revision=file.commit)
        headers = {**build_hf_headers(), "Accept-Encoding": "identity"}
        if self._position:
            headers["Range"] = f"bytes={self._position}-"
        session = get_session()
        response = session.send(session.build_request("GET", url, headers=headers, timeout=TIMEOUT_S), stream=True)
        self._disconnect = response.close
        hf_raise_for_status(response)
        is_whole_file = response.status_code != 206
        return _without_first(response.iter_raw(), self._position if is_whole_file else 0)


def _without_first(pieces: Iterator[bytes], num_bytes: int) -> Iterator[bytes]:
    """Drops the first bytes, for servers that send the whole file if only the rest is requested."""
    for piece in pieces:
        kept, num_bytes = piece[num_bytes:], max(0, num_bytes - len(piece))
        if kept:
            yield kept


def _with_retries(ask: Callable[[], Answer], repository: str, retries: Retries) -> Answer:
    from huggingface_hub.utils import httpx  # type: ignore[attr-defined]

    retrying = Retrying(
        stop=stop_after_attempt(retries.num_attempts) | stop_after_delay(retries.give_up_after_s),
        wait=wait_exponential(multiplier=retries.first_wait_s, max=retries.longest_wait_s),
        retry=retry_if_exception(_may_pass),
        reraise=True,
    )
    try:
        with _quiet_library():
            return retrying(ask)
    except UserError:
        raise
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:  # ValueError: no JSON, or a strange name
        raise _refusal(error, repository) from error


def _may_pass(error: BaseException) -> bool:
    from huggingface_hub.errors import HfHubHTTPError
    from huggingface_hub.utils import httpx  # type: ignore[attr-defined]

    if isinstance(error, HfHubHTTPError):
        return error.response.status_code in WORTH_ANOTHER_ATTEMPT
    if isinstance(error, httpx.UnsupportedProtocol):
        return False
    return isinstance(error, httpx.TransportError | ConnectionError)


def _refusal(error: Exception, repository: str) -> UserError:
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    status = error.response.status_code if isinstance(error, HfHubHTTPError) else None
    if status in CLOSED_TO_US or isinstance(error, HFValidationError):
        found = f"status {status}" if status else "a name that the Hub does not allow"
        return UserError(
            f"Hub data set {repository!r} must exist and be open to you, but got {found}. Correct the name; "
            "if it is private or gated, request access and set HF_TOKEN; for a copy on disk use hub:/path/to/copy."
        )
    reason = " ".join(str(error).split()) or type(error).__name__
    return UserError(
        f"Hub data set {repository!r} must be reachable, but got {reason!r}. Check the network and run the command "
        "again, or work offline: HF_HUB_OFFLINE=1 uses the cache, and hub:/path/to/copy a copy on disk."
    )


@contextmanager
def _quiet_library() -> Iterator[None]:
    """Silences the library's warnings, because the error's one line replaces them."""
    logger = logging.getLogger("huggingface_hub")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)
