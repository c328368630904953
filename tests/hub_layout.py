"""The engine data set of the Hub in small: its archives on disk, and a server on this machine that offers them.

data/train_normal.tar.gz, data/test_normal.tar.gz, data/test_anomaly.tar.gz, members such as
010003_ToyCar_case4_normal_IND_ch1_0003.wav, mono and 16-bit.
"""

import hashlib
import io
import json
import tarfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

import numpy as np
import soundfile

Member = tuple[str, bytes]
REPOSITORY = "someone/engines"
COMMIT = "c0ffee" + "0" * 34
TRAIN, TEST, ANOMALIES = "data/train_normal.tar.gz", "data/test_normal.tar.gz", "data/test_anomaly.tar.gz"
PIECE_BYTES = 4096


@dataclass(frozen=True, kw_only=True)
class HubLayout:
    """The size of a copy, and the order of its rows."""

    num_train: int = 6
    """Normal takes of each case in the train split; half as many normal and anomalous ones in the test split."""
    cases: Sequence[int] = (1,)
    microphones: Sequence[int] = (1,)
    seconds: float = 0.1
    rate_hz: int = 16_000
    order: Literal["take", "microphone"] = "take"
    """Whether all microphones of a take come together, or all takes of a microphone."""


def key_of(take: int, *, case: int = 1, condition: str = "normal", microphone: int = 1) -> str:
    return f"{case:02d}{take:04d}_ToyCar_case{case}_{condition}_IND_ch{microphone}_{take:04d}"


def wav_bytes(seed: int = 0, *, seconds: float = 0.1, rate_hz: int = 16_000, subtype: str = "PCM_16") -> bytes:
    samples = np.random.default_rng(seed).uniform(-0.5, 0.5, round(seconds * rate_hz))
    return encoded(samples, rate_hz=rate_hz, subtype=subtype)


def encoded(samples: np.ndarray, *, rate_hz: int = 16_000, subtype: str = "PCM_16") -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate_hz, format="WAV", subtype=subtype)
    return buffer.getvalue()


def write_archive(path: Path, members: Iterable[Member | tarfile.TarInfo]) -> Path:
    """A tar.gz of wav files in memory; a TarInfo is a link or a folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for member in members:
            info = member if isinstance(member, tarfile.TarInfo) else tarfile.TarInfo(member[0])
            content = b"" if isinstance(member, tarfile.TarInfo) else member[1]
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def write_hub_copy(root: Path, layout: HubLayout = HubLayout()) -> Path:
    """Three archives below `root`. Take 1 of the train split and of the test split are different takes."""
    num_test = max(1, layout.num_train // 2)
    takes = range(1, layout.num_train + 1)
    test_takes = range(layout.num_train + 1, layout.num_train + num_test + 1)
    write_archive(root / TRAIN, members(layout, takes, "normal"))
    write_archive(root / TEST, members(layout, test_takes, "normal"))
    write_archive(root / ANOMALIES, members(layout, range(1, num_test + 1), "ab01"))
    return root


def members(layout: HubLayout, takes: Sequence[int], condition: str) -> Iterator[Member]:
    rows = [(case, take, microphone) for case in layout.cases for take in takes for microphone in layout.microphones]
    if layout.order == "microphone":
        rows.sort(key=lambda row: row[2])
    for case, take, microphone in rows:
        key = key_of(take, case=case, condition=condition, microphone=microphone)
        seed = int(hashlib.sha256(key.encode()).hexdigest()[:8], 16)
        yield f"{key}.wav", wav_bytes(seed, seconds=layout.seconds, rate_hz=layout.rate_hz)


@dataclass
class LoopbackHub:
    """The server's files, its faults, and the requests that it got."""

    root: Path
    cuts: dict[str, list[int]] = field(default_factory=dict)
    """By archive: the numbers of bytes after which the connection breaks, each once, in this order."""
    statuses: dict[str, list[int]] = field(default_factory=dict)
    """By archive, or `info`: statuses that are returned before a request succeeds."""
    error_code: str = ""
    """The Hub's name of an error."""
    knows_ranges: bool = True
    tells_length: bool = True
    """Without it, the end of a connection counts as the end of the file."""
    endpoint: str = ""
    requests: list[str] = field(default_factory=list)


@contextmanager
def serve_hub(root: Path) -> Iterator[LoopbackHub]:
    """The part of the Hub's interface that huggingface_hub needs for a public data set, on a free local port."""
    hub = LoopbackHub(root=root)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    server.daemon_threads = True
    hub.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    hub: LoopbackHub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def end_headers(self) -> None:
        self.send_header("X-HF-Warning", f"{self.hub.endpoint}; unauthenticated requests are slow")
        super().end_headers()

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append(f"{self.command} {path} {self.headers.get('Range', '')}".rstrip())
        files = {p.relative_to(self.hub.root).as_posix(): p for p in sorted(self.hub.root.rglob("*")) if p.is_file()}
        name = path.removeprefix(f"/datasets/{REPOSITORY}/resolve/{COMMIT}/")
        what = name if name in files else "info"
        if self.hub.statuses.get(what):
            self._fail(self.hub.statuses[what].pop(0))
        elif name in files:
            self._send_file(name, files[name].read_bytes())
        elif path == f"/api/datasets/{REPOSITORY}/revision/nowhere":
            self.hub.error_code = "RevisionNotFound"
            self._fail(404)
        elif path.startswith(f"/api/datasets/{REPOSITORY}/revision/"):
            siblings = [{"rfilename": file, "size": p.stat().st_size} for file, p in files.items()]
            self._send_json({"id": REPOSITORY, "sha": COMMIT, "siblings": siblings})
        elif path == f"/api/datasets/{REPOSITORY}/tree/{COMMIT}":
            sizes = {file: p.stat().st_size for file, p in files.items()}
            self._send_json([{"type": "file", "path": f, "size": n, "oid": f"{n:040x}"} for f, n in sizes.items()])
        else:
            self.hub.error_code = "RepoNotFound"
            self._fail(401)

    def _fail(self, status: int) -> None:
        self.send_response(status)
        if self.hub.error_code:
            self.send_header("X-Error-Code", self.hub.error_code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send_json(self, content: object) -> None:
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _send_file(self, name: str, content: bytes) -> None:
        asked = self.headers.get("Range", "") if self.hub.knows_ranges else ""
        start = int(asked.removeprefix("bytes=").partition("-")[0]) if asked else 0
        tells_length = self.hub.tells_length or self.command == "HEAD"
        self.send_response(206 if asked else 200)
        self.send_header(*(("Content-Length", str(len(content) - start)) if tells_length else ("Connection", "close")))
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        if self.command == "GET":
            self._send_body(name, content, start)

    def _send_body(self, name: str, content: bytes, start: int) -> None:
        cuts = self.hub.cuts.get(name, [])
        end = cuts.pop(0) if cuts else len(content)
        for offset in range(start, end, PIECE_BYTES):
            self.wfile.write(content[offset : min(end, offset + PIECE_BYTES)])
        self.close_connection = end < len(content) or not self.hub.tells_length
