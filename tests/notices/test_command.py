"""`manage.py send_notices`."""

from collections.abc import Callable

import pytest

from accounts.models import User
from dev.chaos.mail_server import MailServer
from wallet.ledger.models import Entry
from wallet.notices.models import Notice

pytestmark = pytest.mark.django_db(transaction=True)


def test_it_writes_and_sends_what_is_due(
    command: Callable[..., str],
    grant: Callable[..., Entry],
    verified: tuple[User, User],
    mail_server: MailServer,
) -> None:
    grant(verified[0])

    assert command("send_notices") == "1 notice written; 1 sent.\n"
    assert command("send_notices") == "0 notices written.\n"
    assert len(mail_server.accepted) == 1


def test_a_dry_run_counts_and_changes_nothing(
    command: Callable[..., str],
    grant: Callable[..., Entry],
    verified: tuple[User, User],
) -> None:
    grant(verified[0])
    lines = [line.rsplit(maxsplit=1) for line in command("send_notices", "--dry-run").splitlines()[-4:]]

    assert lines == [
        ["Credits that end soon", "0"],
        ["Credits you receive", "1"],
        ["Refunds", "0"],
        ["Waiting to be sent", "0"],
    ]
    assert Notice.objects.count() == 0
