"""Emails that the scheduler sends: the tasks that a request enqueued, run as the scheduler runs them."""

import re
from importlib import import_module

from django.core import mail
from django.core.mail import EmailMessage
from django_q.models import OrmQ
from django_q.signing import SignedPackage


def send_queued_emails() -> list[EmailMessage]:
    """Run the enqueued tasks, and return the emails that were sent by them."""
    sent = len(mail.outbox)
    for row in OrmQ.objects.order_by("id"):
        task = SignedPackage.loads(row.payload)
        module, _, function = task["func"].rpartition(".")
        getattr(import_module(module), function)(*task["args"], **task["kwargs"])
        row.delete()
    return mail.outbox[sent:]


def link_in(message: EmailMessage) -> str:
    """Return the path of the link in an email."""
    found = re.search(r"https?://\S+", str(message.body))
    assert found
    return found[0].removeprefix("http://127.0.0.1:8000")


def token_in(message: EmailMessage) -> str:
    """Return the token of the link in an email."""
    return link_in(message).rstrip("/").rpartition("/")[2]
