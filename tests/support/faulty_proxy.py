"""A loopback proxy in front of a server, which can fail in the ways that servers fail."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Fault: TypeAlias = Literal["none", "silent", "closing", "slow", "500", "429", "garbage"]

_END = b"\r\nConnection: close\r\n\r\n"
_ANSWERS: dict[str, bytes] = {
    "500": b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 4" + _END + b"oops",
    "429": b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0" + _END,
    "garbage": b"HTTP/1.1 200 OK\r\nContent-Length: 8" + _END + b"<html>\x00\xff",
}


@dataclass
class Proxy:
    """Passes connections on to a server, or fails.

    Attributes:
        address: Where it listens.
        target: The server's host and port.
        fault: How it treats data that arrives now.
        closed: Set when the proxy is closed.
    """

    address: str
    target: tuple[str, int]
    fault: Fault = "none"
    closed: threading.Event = field(default_factory=threading.Event)

    def serve(self, listener: socket.socket) -> None:
        while not self.closed.is_set():
            with contextlib.suppress(OSError):
                client, _ = listener.accept()
                threading.Thread(target=self._handle, args=(client,), daemon=True).start()

    def _handle(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            server = socket.create_connection(self.target)
            with server:
                back = threading.Thread(target=self._copy, args=(server, client), daemon=True)
                back.start()
                while data := client.recv(65_536):
                    if self.fault == "silent":
                        self.closed.wait()
                    if self.fault == "closing":
                        return
                    if self.fault in _ANSWERS:
                        client.sendall(_ANSWERS[self.fault])
                        return
                    if self.fault == "slow":
                        time.sleep(0.1)
                    server.sendall(data)

    def _copy(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                target.sendall(data)


@contextmanager
def faulty_proxy(target: str) -> Iterator[Proxy]:
    """A proxy for the server at an address such as `http://127.0.0.1:5000`."""
    host, port = target.removeprefix("http://").split(":")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        proxy = Proxy(f"http://127.0.0.1:{listener.getsockname()[1]}", (host, int(port)))
        threading.Thread(target=proxy.serve, args=(listener,), daemon=True).start()
        try:
            yield proxy
        finally:
            proxy.closed.set()
