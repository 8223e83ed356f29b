"""A real mail server, and people who are told something."""

import email
import email.policy
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from email.message import EmailMessage
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from django.db.models.functions import Now

from accounts.models import User
from tests.commands.conftest import command  # noqa: F401  (fixture)
from tests.money.conftest import as_owner, credit, hold, shop, spend  # noqa: F401  (fixtures)
from wallet.actions.grant_credit import grant_credit
from wallet.actions.record_notices import record_notices
from wallet.assets.models import CashbackAsset, CreditPool
from wallet.ledger.models import Entry, Lot
from wallet.notices.models import Notice


@dataclass
class MailServer:
    """Keeps what it accepts. `answers` are its replies to the next emails; afterwards it accepts all."""

    port: int = 0
    accepted: list[EmailMessage] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    received: threading.Event = field(default_factory=threading.Event)
    let_go: threading.Event | None = None

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802  (aiosmtpd's name)
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


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def mail_server(settings: Any) -> Iterator[MailServer]:
    """Start a mail server, and send the emails of this process there."""
    handler = MailServer(port=free_port())
    controller = Controller(handler, hostname="127.0.0.1", port=handler.port)
    controller.start()
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_TIMEOUT = "127.0.0.1", handler.port, 5
    yield handler
    controller.stop()


@pytest.fixture
def verified(alice: User, bob: User) -> tuple[User, User]:
    """Alice and bob, whose emails are verified."""
    User.objects.filter(pk__in=[alice.pk, bob.pk]).update(email_verified_at=Now())
    alice.refresh_from_db()
    bob.refresh_from_db()
    return alice, bob


@pytest.fixture
def grant(open_pool: Callable[..., CreditPool], issue: Callable[..., CashbackAsset], ada: User) -> Callable[..., Entry]:
    """Grant a credit to somebody, after the ledger was looked at for the first time."""
    pools: list[CreditPool] = []
    record_notices()

    def make(user: User, **fields: Any) -> Entry:
        pools[:] = pools or [open_pool()]
        issue(pool=pools[0], **fields)
        reference = f"ticket-{Entry.objects.count()}"
        receipt = grant_credit(user, pools[0].pk, reference=reference, reason="goodwill", actor=ada).body
        return Entry.objects.get(pk=receipt["id"])

    return make


def end_at(lot: Lot, moment: datetime) -> None:
    """Let a claimed credit end then."""
    as_owner("UPDATE ledger_lot SET spendable_until = %s WHERE entry_id = %s", moment, lot.pk)


def told(kind: str) -> list[Notice]:
    """Return the notices of a kind, oldest first."""
    return list(Notice.objects.filter(kind=kind).order_by("id"))
