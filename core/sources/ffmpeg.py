"""Audio that libsndfile cannot decode, such as AAC and WMA, decoded by an installed ffmpeg.

ffmpeg runs as a separate process and writes a WAV of float32 into a pipe, which is read in pieces. So nothing is
written to disk, and memory does not depend on the file's length. Files are not trusted: ffmpeg runs without a shell and
without standard input, and reads only local files in the listed containers, because playlists may name other files.
C channels.
"""

import shlex
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Timer
from typing import IO

import numpy as np

from core.data.audio import Waveform
from core.data.recordings import REPAIR, BadRecording

CONTAINERS = "mov,aac,ac3,eac3,amr,amrnb,amrwb,ape,matroska,tta,asf,wv"
"""ffmpeg's names of the formats of FFMPEG_SUFFIXES (core/audio_suffixes.py)."""
MAX_SECONDS_WITHOUT_OUTPUT = 60.0
"""ffmpeg is killed if it writes nothing for this long."""
MAX_BYTES = 2**34
"""Of decoded float32; a day of 48 kHz mono."""
BYTES_PER_SAMPLE = 4
MAX_REASON_CHARACTERS = 200


class DecodedStream:
    """The decoded audio from a running ffmpeg, read once from start to end."""

    def __init__(self, process: subprocess.Popen[bytes], errors: IO[bytes], name: str) -> None:
        assert process.stdout is not None
        self._process, self._output, self._errors, self._name = process, process.stdout, errors, name
        self._num_bytes = 0
        self._is_stuck = False
        self.num_channels, self.sample_rate_hz = self._wav_format()

    def read(self, num_samples: int) -> Waveform:
        """(n, C), fewer samples than asked for at the end and none after it. Raises BadRecording."""
        frame_bytes = BYTES_PER_SAMPLE * self.num_channels
        content = self._bytes(num_samples * frame_bytes)
        if len(content) < num_samples * frame_bytes:
            self._check_end()
        whole = content[: len(content) // frame_bytes * frame_bytes]
        return np.frombuffer(whole, dtype="<f4").astype(np.float32).reshape(-1, self.num_channels)

    def _wav_format(self) -> tuple[int, int]:
        """Channels and rate from the WAV header. Leaves the output at the first sample."""
        found = (0, 0)
        self._bytes(12)
        while len(head := self._bytes(8)) == 8:
            chunk, length = struct.unpack("<4sI", head)
            if chunk == b"data":
                break
            content = self._bytes(length + length % 2)
            if chunk == b"fmt " and len(content) >= 8:
                found = struct.unpack("<2xHI", content[:8])
        else:
            self._check_end()
        if 0 in found:
            raise self._undecodable("no samples")
        return found

    def _bytes(self, count: int) -> bytes:
        """`count` bytes, fewer only at the end. Kills ffmpeg if it is stuck; raises BadRecording above MAX_BYTES."""
        watch = Timer(MAX_SECONDS_WITHOUT_OUTPUT, self._end_stuck)
        watch.start()
        try:
            content = self._output.read(count)
        finally:
            watch.cancel()
        self._num_bytes += len(content)
        if self._num_bytes > MAX_BYTES:
            raise self._undecodable(f"more than {MAX_BYTES} bytes of samples")
        return content

    def _end_stuck(self) -> None:
        self._is_stuck = True
        self._process.kill()

    def _check_end(self) -> None:
        """Raises BadRecording if ffmpeg did not decode the whole file."""
        try:
            exit_code = self._process.wait(MAX_SECONDS_WITHOUT_OUTPUT)
        except subprocess.TimeoutExpired:
            self._end_stuck()
            exit_code = self._process.wait()
        if exit_code == 0:
            return
        if self._is_stuck:
            raise self._undecodable(f"nothing from ffmpeg for {MAX_SECONDS_WITHOUT_OUTPUT:g} s")
        self._errors.seek(0)
        lines = self._errors.read(10_000).decode("utf-8", "replace").strip().splitlines()
        reason = lines[0] if lines else f"exit code {exit_code}"
        # Removes ffmpeg's prefix `[demuxer @ address] `, which differs each time.
        raise self._undecodable(f"from ffmpeg: {reason.rpartition('] ')[2][:MAX_REASON_CHARACTERS]}")

    def _undecodable(self, reason: str) -> BadRecording:
        return BadRecording(f"Recording {self._name!r} must be decodable, but got {reason!r}. {REPAIR}")


@contextmanager
def decoded_by_ffmpeg(path: Path, name: str) -> Iterator[DecodedStream]:
    """The file's first audio track. Raises BadRecording, naming `name`, if ffmpeg is missing or cannot decode it."""
    program = shutil.which("ffmpeg")
    if program is None:
        raise BadRecording(_missing(name))
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            [program, *_arguments(path)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors
        )
        try:
            yield DecodedStream(process, errors, name)
        finally:
            process.kill()
            process.communicate()


def _arguments(path: Path) -> list[str]:
    """`file:` protects against names that begin with `-` or look like a URL. -xerror stops at the first damage."""
    reading = ["-nostdin", "-hide_banner", "-loglevel", "error", "-xerror", "-threads", "1"]
    source = ["-format_whitelist", CONTAINERS, "-protocol_whitelist", "file", "-i", f"file:{path.absolute()}"]
    output = ["-map", "0:a:0", "-map_metadata", "-1", "-c:a", "pcm_f32le", "-f", "wav", "pipe:1"]
    return [*reading, *source, *output]


def _missing(name: str) -> str:
    wav = Path(name).with_suffix(".wav").as_posix()
    return (
        f"Recording {name!r} must be decoded by ffmpeg, but ffmpeg is not installed. Install it, or convert the file "
        f"where it is installed: `ffmpeg -i {shlex.quote(name)} {shlex.quote(wav)}`. {REPAIR}"
    )
