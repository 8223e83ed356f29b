"""Emails to users, sent by tasks of the scheduler.

An action enqueues a task in its own transaction and goes on: the answer never waits for a mail server, and takes the same time
whether or not the address has an account. A task names the user by id, so that no queue holds an email.
"""

from smtplib import SMTPException
from uuid import UUID

from django.conf import settings
from django.core.mail import send_mail
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext as _
from django_q.tasks import async_task

from accounts.email_links import email_tokens, make_link, password_tokens
from accounts.models import User
from kernel.batching import release_connection

# The tasks.
PASSWORD_LINK = "accounts.mail.send_password_link"  # noqa: S105
EMAIL_LINK = "accounts.mail.send_email_link"
CHANGE_NOTICE = "accounts.mail.send_change_notice"


def enqueue_email(task: str, user_id: UUID) -> None:
    """Enqueue one of the tasks below, in the language of the request."""
    async_task(task, str(user_id), translation.get_language() or settings.LANGUAGE_CODE, save=False)


def send_password_link(user_id: str, language: str) -> None:
    """Send the link for a new password, unless there is no such active user."""
    if user := User.objects.filter(pk=user_id, is_active=True).first():
        with translation.override(language):
            link = make_link("reset_password", user, password_tokens)
            text = _(
                "Someone, hopefully you, asked to reset the password of your Cashback account.\n\n"
                "Choose a new password here:\n%(link)s\n\n"
                "The link works once, for %(minutes)s minutes. If it wasn't you, ignore this email."
            )
            send_text(user.email, _("Reset your password"), text, link)


def send_email_link(user_id: str, language: str) -> None:
    """Send the link that verifies the user's email, or the new one that is to replace it."""
    if user := User.objects.filter(pk=user_id, is_active=True).first():
        with translation.override(language):
            text = _(
                "Confirm that this is your email for your Cashback account:\n%(link)s\n\n"
                "The link works once, for %(minutes)s minutes. If you have no account with us, ignore this email."
            )
            send_text(
                user.pending_email or user.email, _("Confirm your email"), text, make_link("verify_email", user, email_tokens)
            )


def send_change_notice(user_id: str, language: str) -> None:
    """Tell the owner of the current email that it is about to be replaced."""
    if user := User.objects.filter(pk=user_id, is_active=True).exclude(pending_email="").first():
        with translation.override(language):
            text = _(
                "Someone, hopefully you, asked to change the email of your Cashback account.\n\n"
                "If it wasn't you, change your password now. That also cancels the change:\n%(link)s"
            )
            send_text(user.email, _("Your email is about to change"), text, settings.PUBLIC_URL + reverse("password"))


class MailNotSent(Exception):
    """The mail server refused an email. The text names no address, because failed tasks are kept."""


def send_text(recipient: str, subject: str, text: str, link: str) -> None:
    """Send one email; raise MailNotSent. The database connection is released, because a mail server may be slow."""
    release_connection()
    values = {"link": link, "minutes": settings.PASSWORD_RESET_TIMEOUT // 60}
    try:
        send_mail(subject, text % values, settings.DEFAULT_FROM_EMAIL, [recipient])
    except (SMTPException, OSError) as error:
        raise MailNotSent(type(error).__name__) from None
