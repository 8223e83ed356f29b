"""A scheduler that is killed between the row and the mail: nobody is told twice, and what was not handed over still leaves."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import pytest
from django.conf import settings
from django.db import connection
from django.db.models.functions import Now

from accounts.models import User
from dev.chaos.mail_server import MailServer
from dev.race import scratch_database
from wallet.ledger.models import Entry
from wallet.notices.models import Notice

pytestmark = pytest.mark.django_db(transaction=True)
MANY = 24


def start(mail_server: MailServer) -> subprocess.Popen[bytes]:
    """Start `manage.py send_notices` as a process of its own."""
    environ = os.environ | {
        "DATABASE_URL": scratch_database.database_url(connection.settings_dict),
        "DJANGO_SETTINGS_MODULE": "cashback.settings",
        "EMAIL_URL": f"smtp://127.0.0.1:{mail_server.port}",
    }
    command = [sys.executable, "manage.py", "send_notices"]
    return subprocess.Popen(command, cwd=settings.BASE_DIR, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def test_schedulers_killed_at_any_moment_tell_nobody_twice(
    grant: Callable[..., Entry], verified: tuple[User, User], mail_server: MailServer
) -> None:
    for number in range(MANY):
        grant(verified[number % 2])
    dice = random.Random(7)
    kills = 0
    for _ in range(30):
        mail_server.received.clear()
        both = [start(mail_server), start(mail_server)]
        # Killed while emails are being sent, not while the processes start.
        if kills < 3 and mail_server.received.wait(30):
            time.sleep(dice.uniform(0, 0.03))
            for process in both:
                process.send_signal(signal.SIGKILL)
            kills += 1
        for process in both:
            process.wait(60)
        Notice.objects.filter(state="WAITING").update(next_attempt_at=Now())
        if Notice.objects.count() == MANY and not Notice.objects.filter(state="WAITING").exists():
            break

    ids = mail_server.ids()
    sent = {f"<{pk}@127.0.0.1>" for pk in Notice.objects.filter(state="SENT").values_list("pk", flat=True)}
    unsure = {f"<{pk}@127.0.0.1>" for pk in Notice.objects.filter(state="HANDED_OVER").values_list("pk", flat=True)}
    assert kills > 0
    assert len(ids) == len(set(ids))  # never twice
    assert len(sent) + len(unsure) == MANY  # none is forgotten
    assert sent <= set(ids) <= sent | unsure  # what is marked as sent did leave
    assert len(unsure) <= 2 * kills  # at most one for each process that was killed


def test_a_notice_whose_scheduler_died_with_it_is_not_sent_again(
    grant: Callable[..., Entry], verified: tuple[User, User], mail_server: MailServer
) -> None:
    grant(verified[0])
    process = start(mail_server)
    assert mail_server.received.wait(30)
    process.kill()
    process.wait(30)
    Notice.objects.update(state="HANDED_OVER", sent_at=None)  # as if it had died before it could note the answer
    process = start(mail_server)
    process.wait(60)

    assert len(mail_server.ids()) == 1
