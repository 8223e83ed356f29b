"""Handing an email to the mail server, and what its answer means: accepted, refused, or unknown."""

from enum import Enum
from smtplib import SMTPRecipientsRefused, SMTPResponseException
from types import TracebackType
from typing import Any, Self

from django.core.mail import EmailMessage, get_connection

MANY_EMAILS = 100  # over one connection; then a new one is opened, as servers end long ones
PERMANENT = 500  # reply codes of SMTP from here on mean that trying again is useless (RFC 5321 §4.2.1)
BAD_REQUEST, TOO_MANY_REQUESTS, SERVER_ERROR = 400, 429, 500  # of a provider's HTTP API


class HandoverResult(Enum):
    """What became of an email."""

    ACCEPTED = "accepted"
    UNREACHABLE = "unreachable"  # no email was handed over: no connection
    TRY_LATER = "try_later"  # refused for now
    REFUSED = "refused"  # refused for good
    UNKNOWN = "unknown"  # the connection was lost after the email was sent: it may have been accepted


class MailConnection:
    """A connection to the mail server for several emails. Its `hand_over` raises nothing of the mail server's."""

    def __init__(self) -> None:
        self.backend: Any = None
        self.count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close_quietly()

    def hand_over(self, message: EmailMessage) -> HandoverResult:
        """Send one email."""
        if not self.is_ready():
            return HandoverResult.UNREACHABLE
        try:
            self.backend.send_messages([message])
        except Exception as error:  # a provider's package raises its own
            self.close_quietly()
            return meaning_of(error)
        return HandoverResult.ACCEPTED

    def is_ready(self) -> bool:
        """Return whether the connection is open. Side effect: opens it, which is apart from sending because it is harmless."""
        if self.count >= MANY_EMAILS:
            self.close_quietly()
        self.count += 1
        if self.backend is None:
            backend = get_connection()
            try:
                backend.open()
            except Exception:  # whatever it is, nothing was sent
                return False
            self.backend = backend
        return True

    def close_quietly(self) -> None:
        """Close the connection; a server that is gone need not be told."""
        backend, self.backend, self.count = self.backend, None, 0
        if backend is not None:
            try:
                backend.close()
            except Exception:
                return


def meaning_of(error: Exception) -> HandoverResult:
    """Return what an error while sending means. Only an answer of the server shows that the email was not accepted."""
    if isinstance(error, SMTPRecipientsRefused):
        codes = [code for code, _ in error.recipients.values()]
        return HandoverResult.REFUSED if min(codes) >= PERMANENT else HandoverResult.TRY_LATER
    if isinstance(error, SMTPResponseException):
        return HandoverResult.REFUSED if error.smtp_code >= PERMANENT else HandoverResult.TRY_LATER
    status = getattr(error, "status_code", None)  # of django-anymail's AnymailRequestsAPIError
    if not isinstance(status, int) or status < BAD_REQUEST or status >= SERVER_ERROR:
        return HandoverResult.UNKNOWN
    return HandoverResult.TRY_LATER if status == TOO_MANY_REQUESTS else HandoverResult.REFUSED
