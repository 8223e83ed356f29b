"""Email addresses: one form per mailbox, by the rules of internet names and without invisible characters.

The package email-validator applies them: domains by IDNA 2008 and UTS 46, Unicode NFC, no invisible or unsafe characters.
Nothing is asked in the DNS.
"""

from functools import lru_cache

import email_validator
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.utils.translation import gettext as _

from kernel.readable_text import normal_text

# Companies have mailboxes at names like corp.local, and tests at example.test: whether mail arrives is not decided here.
email_validator.SPECIAL_USE_DOMAIN_NAMES.clear()


@lru_cache(maxsize=4096)
def canonical_email(email: str) -> str:
    """Return the one form of an address: in lower case, its domain in Unicode. Raises ValueError if it is no address."""
    found = email_validator.validate_email(
        email.strip(),
        allow_smtputf8=False,
        allow_quoted_local=True,
        allow_domain_literal=True,
        check_deliverability=False,
        globally_deliverable=False,
    )
    return found.normalized.lower()


def normal_email(email: str) -> str:
    """Return the canonical form of an address, or whatever was typed in lower case; for look-ups, which never fail."""
    try:
        return canonical_email(email)
    except ValueError:
        return email.strip().lower()


def email_forms(email: str) -> list[str]:
    """Return the forms under which an account may be stored: as typed, for accounts from before, and canonical."""
    return list(dict.fromkeys((email.strip().lower(), normal_email(email))))


def search_text(text: str) -> str:
    """Return a text to search names, titles and emails for, in the form in which they are stored."""
    return normal_email(text) if "@" in text else normal_text(text)


def check_email(email: str) -> None:
    """Raise ValidationError unless this is an address that a new account can have."""
    validate_email(email)
    try:
        canonical_email(email)
    except ValueError as error:
        message = _("Use only standard letters, numbers and symbols in the email.")
        raise ValidationError(message, code="invalid") from error
