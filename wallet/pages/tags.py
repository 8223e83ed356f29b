"""How money, time and a form's key are written in a page."""

import secrets
from datetime import UTC, datetime
from decimal import Decimal

from django.template import Library
from django.utils.html import format_html
from django.utils.safestring import SafeString

from wallet.assets.money import written

register = Library()


@register.filter
def money(amount: Decimal, currency: str) -> SafeString:
    """Return an exact amount with its currency, e.g. 100.00 INR."""
    return format_html("{} <small>{}</small>", written(amount, currency), currency)


@register.filter
def moment(instant: datetime) -> SafeString:
    """Return an instant for people and for machines, both in UTC."""
    utc = instant.astimezone(UTC)
    return format_html('<time datetime="{}">{}</time>', f"{utc:%Y-%m-%dT%H:%M:%SZ}", f"{utc.day} {utc:%b %Y, %H:%M} UTC")


@register.simple_tag
def fresh_key() -> str:
    """Return a new idempotency key: sent twice, a form is done once."""
    return secrets.token_urlsafe(24)
