"""A web server on loopback that answers as good and bad servers do."""

import http.server
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

Answer = Callable[[http.server.BaseHTTPRequestHandler], None]


@dataclass
class Served:
    """A running server: its address and the paths it was asked for."""

    url: str
    asked: list[str] = field(default_factory=list)


def body(data: bytes, **headers: str) -> Answer:
    return lambda handler: _send(handler, 200, {"Content-Length": str(len(data)), **_named(headers)}, data)


def status(code: int, **headers: str) -> Answer:
    return lambda handler: _send(handler, code, {"Content-Length": "0", **_named(headers)}, b"")


def claiming(num_bytes: int, data: bytes) -> Answer:
    """Speaks of another length than it sends."""
    return lambda handler: _send(handler, 200, {"Content-Length": str(num_bytes)}, data)


def dripping(data: bytes, every_s: float) -> Answer:
    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        _send(handler, 200, {"Content-Length": str(len(data))}, b"")
        for byte in data:
            time.sleep(every_s)
            handler.wfile.write(bytes([byte]))
            handler.wfile.flush()

    return answer


def endless(handler: http.server.BaseHTTPRequestHandler) -> None:
    _send(handler, 200, {}, b"")
    while True:
        handler.wfile.write(bytes(1 << 16))


def _named(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


def _send(handler: http.server.BaseHTTPRequestHandler, code: int, headers: Mapping[str, str], data: bytes) -> None:
    handler.send_response(code)
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(data)


@contextmanager
def serving(answers: Mapping[str, Answer]) -> Iterator[Served]:
    """Serves `answers` by path; every other path is not there."""
    served = Served(url="")

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.asked.append(self.path)
            try:
                answers.get(self.path, status(404))(self)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            return

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        server.block_on_close = False
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        served.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield served
        finally:
            server.shutdown()
            thread.join()
