"""An HTTP proxy in front of the service that loses, cuts, delays and invents answers as it is told, and keeps what it saw."""

import http.client
import re
import socket
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from exact_json import dumps


@dataclass
class Fault:
    """What is done to the next `times` requests that match, after `skip` of them."""

    do: str
    method: str = ""
    path: str = ""
    times: int = 1
    skip: int = 0
    seconds: float = 0.0
    status: int = 503
    headers: dict[str, str] = field(default_factory=dict)
    body: Any = None
    text: str | None = None

    def content(self) -> bytes:
        if self.text is not None:
            return self.text.encode()
        return b"" if self.body is None else dumps(self.body).encode()


@dataclass
class Seen:
    """A request that arrived at the proxy."""

    method: str
    path: str
    headers: dict[str, str]
    body: str
    at: float


def matches(method: str, path: str, wanted_method: str, wanted_path: str) -> bool:
    return (not wanted_method or method == wanted_method) and re.search(wanted_path, path) is not None


class Proxy:
    """Listens on a free port of 127.0.0.1 and hands requests to `host`:`port`."""

    def __init__(self, host: str, port: int) -> None:
        self.target = (host, port)
        self.seen: list[Seen] = []
        self.faults: list[Fault] = []
        self._lock = threading.Lock()
        self._connections: set[socket.socket] = set()
        # Bound and never listening: keeps the port while the proxy is down, so that connections are refused and nobody
        # else is given it.
        self._reservation = self._socket(0)
        self.port: int = self._reservation.getsockname()[1]
        self._listener: socket.socket | None = None
        self.up()

    @staticmethod
    def _socket(port: int) -> socket.socket:
        made = socket.socket()
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        made.bind(("127.0.0.1", port))
        return made

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def is_down(self) -> bool:
        return self._listener is None

    def up(self) -> None:
        if self._listener is None:
            self._listener = self._socket(self.port)
            self._listener.listen(64)
            threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def down(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            # Wakes the thread in accept, which a close alone does not.
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        with self._lock:
            connections, self._connections = self._connections, set()
        for connection in connections:
            end(connection)

    def close(self) -> None:
        self.down()
        self._reservation.close()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with self._lock:
                self._connections.add(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            Handler(connection, connection.getsockname(), self)  # type: ignore[arg-type]
        except OSError:
            pass
        finally:
            with self._lock:
                self._connections.discard(connection)
            end(connection)
            connection.close()

    def add_fault(self, fault: Fault) -> None:
        with self._lock:
            self.faults.append(fault)

    def arrived(self, seen: Seen) -> Fault | None:
        """Keeps the request, and says what is to be done to it."""
        with self._lock:
            self.seen.append(seen)
            for fault in self.faults:
                if fault.times > 0 and matches(seen.method, seen.path, fault.method, fault.path):
                    if fault.skip > 0:
                        fault.skip -= 1
                        continue
                    fault.times -= 1
                    return fault
        return None

    def forward(self, seen: Seen) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection(*self.target, timeout=60)
        try:
            dropped = ("host", "connection", "transfer-encoding", "content-length")
            headers = {name: value for name, value in seen.headers.items() if name not in dropped}
            body = seen.body.encode("utf-8", "surrogateescape")
            connection.request(seen.method, seen.path, body or None, headers)
            answer = connection.getresponse()
            kept = [(n, v) for n, v in answer.getheaders() if n.lower() not in ("connection", "content-length", "transfer-encoding")]
            return answer.status, kept, answer.read()
        finally:
            connection.close()


def end(connection: socket.socket) -> None:
    """Ends a connection for both sides, whoever still holds it."""
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Proxy  # type: ignore[assignment]

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes, part: int | None = None, pause: float = 0.0) -> None:
        lines = [f"HTTP/1.1 {status} x", *(f"{name}: {value}" for name, value in headers)]
        if status not in (204, 304):
            lines.append(f"content-length: {len(body)}")
        head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
        if pause:
            for index in range(len(head + body)):
                self.wfile.write((head + body)[index : index + 1])
                time.sleep(pause)
        else:
            self.wfile.write(head + body[:part])

    def _handle(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        body = self.rfile.read(length) if length else b""
        headers = {name.lower(): value for name, value in self.headers.items()}
        if self.server.is_down:
            # It came in the moment in which the connections were closed.
            self.close_connection = True
            return
        seen = Seen(self.command, self.path, headers, body.decode("utf-8", "surrogateescape"), time.monotonic())
        fault = self.server.arrived(seen)
        do = fault.do if fault else "pass"
        assert fault is not None or do == "pass"
        if do == "lose_request":
            self.close_connection = True
            return
        if do == "hang":
            self.close_connection = True
            self.connection.settimeout(fault.seconds or 30)  # type: ignore[union-attr]
            try:
                self.connection.recv(1)  # until the client gives up
            except OSError:
                pass
            return
        if do == "garbage":
            self.wfile.write(fault.content())  # type: ignore[union-attr]
            self.close_connection = True
            return
        if do == "answer":
            self._answer(fault.status, list(fault.headers.items()), fault.content())  # type: ignore[union-attr]
            return
        try:
            answer = self.server.forward(seen)
            if do == "duplicate":
                answer = self.server.forward(seen)
        except OSError:
            self.close_connection = True
            return
        if do == "pass" or do == "duplicate":
            self._answer(*answer)
        elif do == "lose_answer":
            self.close_connection = True
        elif do == "cut_answer":
            self._answer(*answer, part=len(answer[2]) // 2)
            self.close_connection = True
        elif do == "delay":
            time.sleep(fault.seconds)  # type: ignore[union-attr]
            self._answer(*answer)
        elif do == "drip":
            self._answer(*answer, pause=fault.seconds)  # type: ignore[union-attr]
            self.close_connection = True
        elif do == "replace":
            self._answer(fault.status, list(fault.headers.items()), fault.content())  # type: ignore[union-attr]
        else:
            raise ValueError(f"{do} is no fault")

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _handle
