"""Finds truncated audio files, because libsndfile reads some of them without an error up to where they end."""

import os
import struct
from typing import BinaryIO

from core.data.recordings import REPAIR, BadRecording

UNKNOWN_LENGTH = 0x7FFF0000
"""A program that writes into a pipe does not know the length and writes this or a larger number."""
SOUND_CHUNKS = {b"RIFF": b"data", b"RIFX": b"data", b"RF64": b"data", b"FORM": b"SSND"}
"""The chunk with the samples, by the first bytes of a file: WAV in three kinds, and AIFF."""


def check_not_cut_short(file: BinaryIO, name: str) -> None:
    """Reads the lengths in WAV, AIFF and AU files and the last page of Ogg files, where libsndfile reports no error.

    Raises BadRecording, naming `name`, for a file that is shorter than its header promises.
    """
    num_bytes = file.seek(0, os.SEEK_END)
    file.seek(0)
    magic = file.read(4)
    if magic in SOUND_CHUNKS or magic == b".snd":
        promised = _promised_au_bytes(file) if magic == b".snd" else _promised_bytes(file, magic)
        there = max(0, num_bytes - file.tell())  # the position may lie beyond the end
        if there < promised:
            raise truncated(name, f"{promised} bytes of samples", f"{there}")
    if magic == b"OggS" and not _ends_with_last_ogg_page(file, num_bytes):
        raise truncated(name, "a last page", "an end in the middle")


def _promised_bytes(file: BinaryIO, magic: bytes) -> int:
    """The number of bytes of samples that the header states, 0 if unknown. Leaves `file` where they begin.

    Chunks after the samples are usually tags and are ignored. RF64, for files of more than 4 GB, states the length in
    the chunk `ds64` (EBU Tech 3306). RIFX and AIFF are big-endian.
    """
    order = ">" if magic in (b"RIFX", b"FORM") else "<"
    long_length = 0
    file.seek(12)
    while len(head := file.read(8)) == 8:
        chunk, length = struct.unpack(f"{order}4sI", head)
        if chunk == SOUND_CHUNKS[magic]:
            return long_length or (int(length) if length < UNKNOWN_LENGTH else 0)
        start = file.tell()
        if chunk == b"ds64" and len(sizes := file.read(16)) == 16:
            long_length = int(struct.unpack("<8xQ", sizes)[0])
        file.seek(start + length + length % 2)
    return 0


def _promised_au_bytes(file: BinaryIO) -> int:
    """As `_promised_bytes`."""
    header = file.read(8)
    if len(header) < 8:
        return 0
    start, length = struct.unpack(">II", header)
    file.seek(start)
    return int(length) if length < UNKNOWN_LENGTH else 0


def _ends_with_last_ogg_page(file: BinaryIO, num_bytes: int) -> bool:
    """Whether the last page is complete and has the end-of-stream flag (RFC 3533, section 6)."""
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
