"""A real mail server on this machine, which keeps what it accepts."""

import email
import email.policy
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller


@dataclass
class MailServer:
    """Keeps what it accepts. `answers` are its replies to the next emails; afterwards it accepts all."""

    port: int = 0
    accepted: list[EmailMessage] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    received: threading.Event = field(default_factory=threading.Event)

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802  (aiosmtpd's name)
        """Answer an email, and keep it if it is accepted; "vanish" accepts it and closes the connection."""
        answer = self.answers.pop(0) if self.answers else "250 OK"
        if answer == "vanish":
            server.transport.abort()
        if answer.startswith("250") or answer == "vanish":
            message = email.message_from_bytes(envelope.content, policy=email.policy.default)
            assert isinstance(message, EmailMessage)
            self.accepted.append(message)
        self.received.set()
        return answer

    def ids(self) -> list[str]:
        """Return the ids of the accepted messages."""
        return [str(message["Message-ID"]) for message in self.accepted]


@contextmanager
def running_mail_server() -> Iterator[MailServer]:
    """Run a mail server on a free port."""
    handler = MailServer(port=free_port())
    controller = Controller(handler, hostname="127.0.0.1", port=handler.port)
    controller.start()
    try:
        yield handler
    finally:
        controller.stop()


def free_port() -> int:
    """Return a port of this machine that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
