"""One attempt: a request and its answer, over connections that are kept for the next."""

from __future__ import annotations

import base64
import functools
import http.client
import io
import select
import socket
import ssl
import threading
import time
import urllib.request
from dataclasses import dataclass, field
from email.message import Message
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from ._errors import ConfigurationError
from ._version import __version__

MAX_ANSWER = 32 * 1024 * 1024
"""Bytes of an answer that are read. Lambda's end at 6 MB."""

_KEPT = 8
"""Idle connections that are kept."""

_MAX_IDLE = 50.0
"""Seconds after which an idle connection is not used again: load balancers and NATs forget them, the first after 60."""


class AttemptFailed(Exception):
    """No complete answer: whether the service got the request is not known."""


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Message
    body: bytes

    def header(self, name: str) -> str | None:
        value = self.headers.get(name)
        return None if value is None else str(value)


@dataclass(eq=False)
class _Idle:
    connection: http.client.HTTPConnection
    since: float


@dataclass(eq=False)
class Transport:
    """Where the service is, and the connections to it. May be used by several threads at once.

    Raises ConfigurationError for a URL or key that cannot be right.
    """

    url: str
    api_key: str = field(repr=False)
    ssl_context: ssl.SSLContext | None = None
    _idle: list[_Idle] = field(default_factory=list["_Idle"])
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.url.strip())
            self._port = parts.port
        except ValueError as error:
            raise ConfigurationError(f"{self.url!r} is not a URL: {error}") from None
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigurationError(f"{self.url!r} is not a URL such as https://host/stage or http://127.0.0.1:3000")
        if parts.query or parts.fragment or parts.username is not None:
            raise ConfigurationError("the URL has a query, a fragment or a user, and may have none of them")
        if not self.api_key.strip() or not self.api_key.strip().isprintable() or not self.api_key.strip().isascii():
            raise ConfigurationError("the API key has characters that none has")
        self.api_key = self.api_key.strip()
        self._host: str = parts.hostname
        self._secure = parts.scheme == "https"
        path = parts.path.rstrip("/")
        self._base = (path[: -len("/api/v1")] if path.endswith("/api/v1") else path) + "/api/v1"
        self._proxy = _proxy(parts)
        if self._secure and self.ssl_context is None:
            self.ssl_context = ssl.create_default_context()

    def forget_connections(self) -> None:
        """Drops the idle connections without a word on them: after a fork they are the parent's, too."""
        self._lock = threading.Lock()
        self._idle = []

    def close(self) -> None:
        """Closes the idle connections. The transport can be used on."""
        with self._lock:
            idle, self._idle = self._idle, []
        for one in idle:
            one.connection.close()

    def __del__(self) -> None:
        # A client is rarely closed: its sockets must not be told as forgotten. Not those of another process.
        for one in getattr(self, "_idle", []):
            one.connection.close()

    def _connect(self, timeout: float) -> http.client.HTTPConnection:
        host, port = self._proxy[:2] if self._proxy else (self._host, self._port)
        if self._secure:
            secure = http.client.HTTPSConnection(host, port, timeout=timeout, context=self.ssl_context)
            if self._proxy:
                secure.set_tunnel(self._host, self._port or 443, self._proxy[2])
            return secure
        return http.client.HTTPConnection(host, port, timeout=timeout)

    def _take(self, timeout: float) -> http.client.HTTPConnection:
        """An idle connection that is still open, the last one used first, or a new one."""
        while True:
            with self._lock:
                idle = self._idle.pop() if self._idle else None
            if idle is None:
                return self._connect(timeout)
            sock = idle.connection.sock
            # Something to read on an idle connection is its end.
            if time.monotonic() - idle.since < _MAX_IDLE and sock is not None and not _readable(sock):
                sock.settimeout(timeout)
                return idle.connection
            idle.connection.close()

    def _keep(self, connection: http.client.HTTPConnection) -> None:
        with self._lock:
            if len(self._idle) < _KEPT:
                self._idle.append(_Idle(connection, time.monotonic()))
                return
        connection.close()

    def attempt(self, method: str, path: str, headers: dict[str, str], body: bytes | None, timeout: float) -> Answer:
        """Sends a request once. `path` begins after /api/v1; `timeout` is in seconds, for all of it.

        Raises AttemptFailed where no complete answer arrived.
        """
        until = time.monotonic() + timeout
        target = self._base + path
        sent = {"x-api-key": self.api_key, "user-agent": f"ratchet-python/{__version__}", "accept": "application/json", **headers}
        if self._proxy and not self._secure:
            port = f":{self._port}" if self._port else ""
            target = f"http://{self._host}{port}{target}"
            sent.update(self._proxy[2])
        connection: http.client.HTTPConnection | None = None
        answer: http.client.HTTPResponse | None = None
        try:
            connection = self._take(timeout)
            # http.client makes the answer by whatever stands here, with the socket as its first argument.
            connection.response_class = functools.partial(_Response, until)  # type: ignore[assignment]
            connection.request(method, target, body, sent)
            answer = connection.getresponse()
            content = _read(answer)
        except (OSError, http.client.HTTPException, ValueError) as error:
            # Also what is not the network's: a certificate that does not fit, a header that http.client refuses.
            _end(connection, answer)
            raise AttemptFailed(_words(error)) from error
        except BaseException:
            # KeyboardInterrupt in the middle of an answer: the rest of it must not be the next request's.
            _end(connection, answer)
            raise
        if answer.will_close:
            connection.close()
        else:
            self._keep(connection)
        return Answer(answer.status, answer.headers, content)


class _Bounded(io.RawIOBase):
    """Reads a socket until a moment. The timeout of a socket is for each read: an answer that drips would never end."""

    def __init__(self, sock: socket.socket, raw: io.RawIOBase, until: float) -> None:
        self._sock, self._raw, self._until = sock, raw, until

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object, /) -> int | None:
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._sock.settimeout(left)
        return self._raw.readinto(buffer)  # type: ignore[arg-type]

    def close(self) -> None:
        if not self.closed:
            self._raw.close()
        super().close()


class _Response(http.client.HTTPResponse):
    def __init__(self, until: float, sock: socket.socket, *args: Any, **more: Any) -> None:
        super().__init__(sock, *args, **more)
        self.fp: Any = io.BufferedReader(_Bounded(sock, self.fp.detach(), until))


def _end(connection: http.client.HTTPConnection | None, answer: http.client.HTTPResponse | None) -> None:
    # The answer first, and by itself: where it ends with its connection, http.client has let go of both.
    if answer is not None:
        answer.close()
    if connection is not None:
        connection.close()


def _read(answer: http.client.HTTPResponse) -> bytes:
    """The body, to its end."""
    parts: list[bytes] = []
    size = 0
    while part := answer.read1(65536):
        parts.append(part)
        size += len(part)
        if size > MAX_ANSWER:
            raise ValueError(f"the answer has more than {MAX_ANSWER} bytes")
    # read1 takes an early end for the end.
    if answer.length:
        raise http.client.IncompleteRead(b"", answer.length)
    # read1 leaves the end of a body of known length unread: the connection would count as busy.
    answer.close()
    return b"".join(parts)


def _readable(sock: socket.socket) -> bool:
    try:
        if hasattr(select, "poll"):
            poll = select.poll()
            poll.register(sock, select.POLLIN)
            return bool(poll.poll(0))
        return bool(select.select([sock], [], [], 0)[0])
    except (OSError, ValueError):
        return True


def _words(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, http.client.RemoteDisconnected):
        return "the connection was closed without an answer"
    if isinstance(error, http.client.IncompleteRead):
        return "the answer was cut off"
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _proxy(parts: SplitResult) -> tuple[str, int, dict[str, str]] | None:
    """The proxy that the environment names (HTTPS_PROXY, NO_PROXY, ...): host, port, headers."""
    host = parts.hostname or ""
    named = urllib.request.getproxies().get(parts.scheme)
    if not named or urllib.request.proxy_bypass(host):
        return None
    proxy = urlsplit(named if "//" in named else f"//{named}")
    if not proxy.hostname:
        return None
    headers: dict[str, str] = {}
    if proxy.username is not None:
        user = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
        headers["proxy-authorization"] = "Basic " + base64.b64encode(user.encode()).decode()
    return proxy.hostname, proxy.port or 3128, headers
