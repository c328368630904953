"""Machines on one machine: a process has its own network, its own mounts and its own host name, like on another one.

A machine has a network namespace with nothing in it but its own loopback. A relay listens there at the port of a server
and passes the bytes to the server outside, so both machines use the same address, and a relay that is cut is a network
that is down. Its mount namespace shows a folder of its own at a path that both machines use.
"""

import ctypes
import os
import socket
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

CLONE_NEWNET = 0x40000000
NAMESPACES = ("--net", "--mount", "--uts")


@cache
def why_no_machines() -> str:
    """Why this machine has no others in it; empty where it has."""
    tried = subprocess.run(["unshare", *NAMESPACES, "true"], capture_output=True, text=True, check=False)
    return f"namespaces need root: {tried.stderr.strip()}" if tried.returncode else ""


class Relay:
    """Passes connections to a port of a machine's loopback to the same port of this machine's."""

    def __init__(self, machine_id: int, port: int) -> None:
        self._port = port
        self._listener = _listen_inside(machine_id, port)
        self._connections: list[socket.socket] = []
        self._is_cut = False
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Ends all connections and takes no new ones, until `restore`."""
        with self._lock:
            self._is_cut = True
            for each in self._connections:
                _end(each)
            self._connections.clear()

    def restore(self) -> None:
        self._is_cut = False

    def close(self) -> None:
        self.cut()
        _end(self._listener)

    def _accept(self) -> None:
        while True:
            try:
                inside, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                try:
                    outside = None if self._is_cut else socket.create_connection(("127.0.0.1", self._port))
                except OSError:
                    outside = None
                if outside is None:
                    _end(inside)
                    continue
                self._connections += [inside, outside]
            for source, target in ((inside, outside), (outside, inside)):
                threading.Thread(target=_pass_on, args=(source, target), daemon=True).start()


class Machine:
    """A machine with a name. Its processes are started with `prefix` before their command."""

    def __init__(
        self, name: str, *, ports: Sequence[int], own_folder: Path | None = None, at: Path | None = None
    ) -> None:
        """`own_folder` appears at the path `at` for the processes of this machine."""
        bind = f"mount --bind {own_folder} {at} && " if own_folder else ""
        script = f"{bind}hostname {name} && ip link set lo up && echo ready && exec sleep 100000"
        command = ["unshare", *NAMESPACES, "sh", "-c", script]
        self._holder = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == "ready\n"
        self.relays = {port: Relay(self._holder.pid, port) for port in ports}

    def prefix(self, folder: Path) -> list[str]:
        """Before the command of a process that shall run on this machine, in this folder."""
        enter = ["nsenter", "--target", str(self._holder.pid), *NAMESPACES]
        return [*enter, "sh", "-c", 'cd "$0" && exec "$@"', str(folder)]

    def stop(self) -> None:
        for relay in self.relays.values():
            relay.close()
        self._holder.kill()
        self._holder.wait()


@contextmanager
def machines(*made: Machine) -> Iterator[tuple[Machine, ...]]:
    try:
        yield made
    finally:
        for machine in made:
            machine.stop()


def _listen_inside(machine_id: int, port: int) -> socket.socket:
    """A socket in the network of the machine. A thread enters it and ends: its socket stays there."""
    sockets: list[socket.socket] = []

    def listen() -> None:
        descriptor = os.open(f"/proc/{machine_id}/ns/net", os.O_RDONLY)
        assert ctypes.CDLL(None, use_errno=True).setns(descriptor, CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
        os.close(descriptor)
        sockets.append(socket.create_server(("127.0.0.1", port)))

    thread = threading.Thread(target=listen)
    thread.start()
    thread.join()
    return sockets[0]


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    for each in (source, target):
        _end(each)


def _end(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
