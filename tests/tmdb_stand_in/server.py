"""HTTP/1.1 on loopback, a thread a connection: takes the time at which requests come, and sends replies, broken ones too."""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from time import monotonic
from typing import Any

from tests.tmdb_stand_in.faults import Reply

HOST = "127.0.0.1"
_FILLING = bytes(64 * 1024)


def bound_socket(port: int) -> socket.socket:
    """Holds a port of loopback (0: a free one) without listening: connections are refused."""
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind((HOST, port))
    return bound


class Server(ThreadingHTTPServer):
    """Gives every GET to `answer`, with the request's URL, its Authorization header, and when it came."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def __init__(self, bound: socket.socket, answer: Callable[[str, str, float], Reply]) -> None:
        super().__init__((HOST, 0), _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = bound
        self.answer = answer
        self.ending = threading.Event()
        self._connections: set[Any] = set()
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True)

    def start(self) -> None:
        """Listens from now on."""
        self.server_activate()
        self._thread.start()

    def end(self) -> None:
        """Ends accepting, the answers that are waited with, and all connections."""
        self.ending.set()
        self.shutdown()
        self._thread.join()
        self.server_close()
        for connection in list(self._connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), OSError):  # those are clients that went away
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server
    arrived: float

    def parse_request(self) -> bool:
        self.arrived = monotonic()  # the request line has just been read: nothing of ours comes before
        return super().parse_request()

    def do_GET(self) -> None:
        authorization = self.headers.get("Authorization", "")
        reply = self.server.answer(self.path, authorization, self.arrived)
        if reply.wait and self.server.ending.wait(reply.wait):
            reply = Reply(status=0, hang_up=True)
        self.close_connection = self.close_connection or reply.hang_up
        if not reply.status:
            return
        length = len(reply.body) if reply.declared is None else reply.declared
        head = [
            f"HTTP/1.1 {reply.status} {HTTPStatus(reply.status).phrase}",
            f"Content-Type: {reply.type}",
            "Transfer-Encoding: chunked" if reply.chunked else f"Content-Length: {length}",
            *(f"{name}: {value}" for name, value in reply.headers),
            *(["Connection: close"] if self.close_connection else []),
        ]
        self.wfile.write("\r\n".join([*head, "", ""]).encode() + self._framed(reply.body, reply))
        for _ in range(reply.filling // len(_FILLING)):
            self.wfile.write(self._framed(_FILLING, reply))
        if reply.chunked:
            self.wfile.write(b"0\r\n\r\n")

    @staticmethod
    def _framed(content: bytes, reply: Reply) -> bytes:
        return b"%x\r\n%s\r\n" % (len(content), content) if reply.chunked else content

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - the base class's name
        """Nothing: the record has it all."""
