"""Audio files that end too early: libsndfile shortens some to what is there and says nothing."""

import os
import struct
from typing import BinaryIO

from core.data.recordings import REPAIR, BadRecording

# A program that writes a WAV into a pipe cannot know the length and puts (nearly) the largest number there.
UNKNOWN_WAV_LENGTH = 0x7FFF0000


def check_not_cut_short(file: BinaryIO, name: str) -> None:
    """Looks at the marks of WAV and Ogg themselves, which is where libsndfile is silent.

    Raises BadRecording, naming `name`, for a file that is shorter than it says of itself.
    """
    num_bytes = file.seek(0, os.SEEK_END)
    file.seek(0)
    magic = file.read(4)
    if magic in (b"RIFF", b"RIFX", b"RF64"):
        promised = _promised_wav_bytes(file, magic)
        there = max(0, num_bytes - file.tell())  # it may have searched beyond the end
        if there < promised:
            raise truncated(name, f"{promised} bytes of samples", f"{there}")
    if magic == b"OggS" and not _ends_with_last_ogg_page(file, num_bytes):
        raise truncated(name, "a last page", "an end in the middle")


def _promised_wav_bytes(file: BinaryIO, magic: bytes) -> int:
    """The length of the samples as the header has it, with `file` left at the first; 0 where it is not known.

    What lies behind them is tags, as a rule, and no business of ours. RF64, for more than 4 GB, has the length in the
    chunk `ds64` (EBU Tech 3306); RIFX is RIFF with the bytes of a number turned round.
    """
    order = ">" if magic == b"RIFX" else "<"
    long_length = 0
    file.seek(12)
    while len(head := file.read(8)) == 8:
        chunk, length = struct.unpack(f"{order}4sI", head)
        if chunk == b"data":
            return long_length or (int(length) if length < UNKNOWN_WAV_LENGTH else 0)
        start = file.tell()
        if chunk == b"ds64" and len(sizes := file.read(16)) == 16:
            long_length = int(struct.unpack("<8xQ", sizes)[0])
        file.seek(start + length + length % 2)
    return 0


def _ends_with_last_ogg_page(file: BinaryIO, num_bytes: int) -> bool:
    """Whether the last page is whole and carries the end-of-stream flag (RFC 3533, section 6)."""
    largest_page_bytes = 27 + 255 + 255 * 255
    file.seek(max(0, num_bytes - largest_page_bytes))
    tail = file.read()
    page = tail[max(0, tail.rfind(b"OggS")) :]
    if len(page) < 27 or len(page) < 27 + page[26]:
        return False
    body_bytes = sum(page[27 : 27 + page[26]])
    return bool(page[5] & 4) and len(page) >= 27 + page[26] + body_bytes


def truncated(name: str, promised: str, found: str) -> BadRecording:
    return BadRecording(f"Recording {name!r} is truncated: it must hold {promised}, but got {found}. {REPAIR}")
