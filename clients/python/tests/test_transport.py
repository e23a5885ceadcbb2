"""Connections: kept, closed behind one's back, through proxies, after forks."""

from __future__ import annotations

import gc
import os
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from conftest import KEY, QUICK, Fault, Proxy

from ratchet import Client, ConfigurationError, RetryPolicy, Unavailable
from ratchet._transport import AttemptFailed, Transport


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("http://127.0.0.1:3000", "/api/v1"),
        ("http://127.0.0.1:3000/", "/api/v1"),
        (" https://host/api/v1 ", "/api/v1"),
        ("https://host/stage", "/stage/api/v1"),
        ("https://host/stage/api/v1/", "/stage/api/v1"),
        ("http://[::1]:3000", "/api/v1"),
    ],
)
def test_urls(url: str, base: str) -> None:
    assert Transport(url, "key")._base == base


@pytest.mark.parametrize(
    "url",
    ["host:3000", "127.0.0.1", "ftp://host", "http://", "https://host:port", "https://host?x=1", "https://host/#x", "https://user:pw@host", "http://[::1"],
)
def test_what_cannot_be_the_url(url: str) -> None:
    with pytest.raises(ConfigurationError):
        Transport(url, "key")


@pytest.mark.parametrize("key", [" ", "a\nb", "schlüssel", "a\x00b"])
def test_what_cannot_be_a_key(key: str) -> None:
    with pytest.raises(ConfigurationError, match="API key") as raised:
        Transport("http://host", key)
    assert key.strip() == "" or key not in str(raised.value)


def test_a_key_with_a_line_end_from_a_file_is_a_key() -> None:
    assert Transport("http://host", "key\n").api_key == "key"


def test_the_key_is_not_shown() -> None:
    client = Client("http://host", "very-secret-key")
    assert "very-secret-key" not in repr(client) + str(client)
    assert "very-secret-key" not in repr(client.transport())


def test_a_connection_is_kept_for_the_next_request(proxy: Proxy, client: Client) -> None:
    for _ in range(5):
        client.me()
    transport = client.transport()
    (idle,) = transport._idle
    port = idle.connection.sock.getsockname()[1]
    client.me()
    assert transport._idle[0].connection.sock.getsockname()[1] == port


def test_an_idle_connection_that_was_closed_is_not_used(proxy: Proxy) -> None:
    client = Client(proxy.url, KEY, retry=RetryPolicy(attempts=1))
    client.me()
    proxy.down()
    proxy.up()
    time.sleep(0.1)
    client.me()
    assert len(proxy.seen) == 2
    client.close()


def test_an_idle_connection_grows_old(proxy: Proxy, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    client.me()
    first = client.transport()._idle[0].connection
    monkeypatch.setattr("ratchet._transport._MAX_IDLE", 0.0)
    client.me()
    assert client.transport()._idle[0].connection is not first
    assert first.sock is None


def test_many_threads_share_a_client(proxy: Proxy, client: Client) -> None:
    failures: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(10):
                assert client.me()["organization_id"] == "python"
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(client.transport()._idle) <= 8


def test_an_answer_that_is_cut_leaves_no_connection(proxy: Proxy) -> None:
    proxy.add_fault(Fault("cut_answer"))
    client = Client(proxy.url, KEY, retry=RetryPolicy(attempts=1))
    with pytest.raises(Unavailable, match="cut off"):
        client.me()
    assert client.transport()._idle == []
    client.me()
    client.close()


def test_an_interrupt_leaves_no_half_read_connection(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    client.me()

    def interrupted(answer: object) -> bytes:
        raise KeyboardInterrupt

    monkeypatch.setattr("ratchet._transport._read", interrupted)
    with pytest.raises(KeyboardInterrupt):
        client.me()
    assert client.transport()._idle == []


def test_an_answer_beyond_all_measure_is_not_read(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ratchet._transport.MAX_ANSWER", 20)
    with pytest.raises(AttemptFailed, match="more than 20 bytes"):
        client.transport().attempt("GET", "/me", {}, None, 5.0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_fork_does_not_share_connections(proxy: Proxy, client: Client) -> None:
    client.me()
    lock = client.transport()._lock
    # Held by a thread that the child does not have.
    lock.acquire()
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if client.me()["organization_id"] == "python" and len(client.transport()._idle) == 1 else 3)
        finally:
            os._exit(4)
    lock.release()
    end = time.monotonic() + 10
    while (done := os.waitpid(child, os.WNOHANG))[0] == 0 and time.monotonic() < end:
        time.sleep(0.02)
    if done[0] == 0:
        os.kill(child, 9)
        os.waitpid(child, 0)
    assert done[1] == 0 and done[0] == child
    client.me()


def test_a_drip_in_the_head_ends_in_time(service: tuple[str, int]) -> None:
    listener = socket.create_server(("127.0.0.1", 0))

    def drip() -> None:
        connection, _ = listener.accept()
        try:
            connection.recv(65536)
            for byte in b"HTTP/1.1 200 OK\r\nx: " + b"y" * 200:
                connection.sendall(bytes([byte]))
                time.sleep(0.1)
        except OSError:
            pass
        finally:
            connection.close()

    thread = threading.Thread(target=drip)
    thread.start()
    begun = time.monotonic()
    with pytest.raises(AttemptFailed, match="no answer in time"):
        Transport(f"http://127.0.0.1:{listener.getsockname()[1]}", "key").attempt("GET", "/me", {}, None, 0.5)
    assert time.monotonic() - begun < 1.5
    thread.join()
    listener.close()


class Forwarding(BaseHTTPRequestHandler):
    """A forward proxy that answers all by itself."""

    seen: list[tuple[str, str, str | None]] = []

    def do_GET(self) -> None:
        self.seen.append(("GET", self.path, self.headers.get("proxy-authorization")))
        body = b'{"organization_id": "by-proxy"}'
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_CONNECT(self) -> None:
        self.seen.append(("CONNECT", self.path, self.headers.get("proxy-authorization")))
        self.send_error(403)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def forwarding(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Forwarding)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    for name in ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    Forwarding.seen = []
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_environment_s_proxy_is_used(forwarding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", f"http://user:p%40ss@{forwarding}")
    assert Client("http://ratchet.example:8080", "key").me()["organization_id"] == "by-proxy"
    assert Forwarding.seen == [("GET", "http://ratchet.example:8080/api/v1/me", "Basic dXNlcjpwQHNz")]


def test_https_goes_through_a_tunnel(forwarding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", forwarding)
    with pytest.raises(Unavailable, match="403"):
        Client("https://ratchet.example", "key", retry=RetryPolicy(attempts=1)).me()
    assert [(method, path) for method, path, _ in Forwarding.seen] == [("CONNECT", "ratchet.example:443")]


def test_no_proxy_is_obeyed(forwarding: str, monkeypatch: pytest.MonkeyPatch, proxy: Proxy) -> None:
    monkeypatch.setenv("http_proxy", f"http://{forwarding}")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    client = Client(proxy.url, KEY, retry=QUICK)
    assert client.me()["organization_id"] == "python"
    assert Forwarding.seen == []
    client.close()


def test_a_certificate_that_nobody_knows_is_refused() -> None:
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listener.accept()
        connection.close()

    thread = threading.Thread(target=serve)
    thread.start()
    client = Client(f"https://127.0.0.1:{listener.getsockname()[1]}", "key", retry=RetryPolicy(attempts=1, timeout=3))
    context = client.transport().ssl_context
    assert context is not None and context.verify_mode == ssl.CERT_REQUIRED and context.check_hostname
    with pytest.raises(Unavailable):
        client.me()
    thread.join()
    listener.close()


@pytest.mark.filterwarnings("error::ResourceWarning")
def test_a_connection_that_ends_in_its_answer_leaves_no_socket(proxy: Proxy) -> None:
    head = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 100\r\n\r\nhalf"
    client = Client(proxy.url, KEY, retry=RetryPolicy(attempts=1))
    for _ in range(3):
        proxy.add_fault(Fault("garbage", text=head))
        with pytest.raises(Unavailable, match="cut off"):
            client.me()
    del client
    gc.collect()
