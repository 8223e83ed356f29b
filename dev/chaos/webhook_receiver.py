"""A receiver of webhooks on this machine, which fails as often as it should."""

import http.server
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from standardwebhooks import Webhook, WebhookVerificationError

HANG_SECONDS = 1.5


@dataclass
class Receiver:
    """A server that keeps what it gets. `answer` decides what becomes of a message: a status, "hang", "cut" or "lose".

    "cut" closes the connection without a response and forgets the message; "lose" keeps it, but the response is lost. With a
    `secret`, messages are verified when they arrive; `refused` says why some were answered with 401.
    """

    answer: Callable[[], int | str] = lambda: 200
    headers: dict[str, str] = field(default_factory=dict)
    received: list[dict[str, Any]] = field(default_factory=list)
    raw: list[tuple[dict[str, str], str]] = field(default_factory=list)
    requests: int = 0
    url: str = ""
    secret: str = ""
    refused: list[str] = field(default_factory=list)

    @property
    def ids(self) -> list[str]:
        """The ids of the messages that were kept, doubles included."""
        return [message["id"] for message in self.received]

    @property
    def types(self) -> list[str]:
        """The types of the messages that were kept."""
        return [message["type"] for message in self.received]

    def is_genuine(self, headers: dict[str, str], body: str) -> bool:
        """Return whether the signature and its time are right; note why not in `refused`."""
        try:
            if self.secret:
                Webhook(self.secret).verify(body, headers)
        except WebhookVerificationError as error:
            self.refused.append(str(error))
            return False
        return True


class QuietServer(http.server.ThreadingHTTPServer):
    """A server that says nothing about clients that are killed."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore the error."""


def handler_of(receiver: Receiver) -> type[http.server.BaseHTTPRequestHandler]:
    """Return a handler that gives what it gets to the receiver."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            receiver.requests += 1
            length = int(self.headers["Content-Length"])
            body = self.rfile.read(length).decode()
            if len(body.encode()) < length:  # its sender was killed
                self.close_connection = True
                return
            headers = {name.lower(): value for name, value in self.headers.items()}
            outcome = receiver.answer() if receiver.is_genuine(headers, body) else 401
            if outcome == "hang":
                time.sleep(HANG_SECONDS)
                self.close_connection = True
                return
            if outcome in (200, 202, "lose"):
                receiver.raw.append((headers, body))
                receiver.received.append(json.loads(body))
            if isinstance(outcome, str):
                self.close_connection = True
                return
            self.send_response(outcome)
            for name, value in receiver.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *args: Any) -> None:
            pass

    return Handler


@contextmanager
def running_receiver(receiver: Receiver) -> Iterator[Receiver]:
    """Run a receiver on a free port, and give it its URL."""
    server = QuietServer(("127.0.0.1", 0), handler_of(receiver))
    receiver.url = f"http://127.0.0.1:{server.server_port}/hooks?shop=1"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
