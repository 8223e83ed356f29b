"""A real mail server, and people who are told something."""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import pytest
from django.db.models.functions import Now

from accounts.models import User
from dev.chaos.mail_server import MailServer, running_mail_server
from tests.commands.conftest import command  # noqa: F401  (fixture)
from tests.money.conftest import as_owner, credit, hold, shop, spend  # noqa: F401  (fixtures)
from wallet.actions.grant_credit import grant_credit
from wallet.actions.record_notices import record_notices
from wallet.assets.models import CashbackAsset, CreditPool
from wallet.ledger.models import Entry, Lot
from wallet.notices.models import Notice


@pytest.fixture
def mail_server(settings: Any) -> Iterator[MailServer]:
    """Start a mail server, and send the emails of this process there."""
    with running_mail_server() as server:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_TIMEOUT = "127.0.0.1", server.port, 5
        yield server


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
