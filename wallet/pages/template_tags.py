"""How money, time and a form's key are written in a page."""

import secrets
from datetime import UTC, datetime
from decimal import Decimal

from django.conf import settings
from django.template import Context, Library
from django.template.defaultfilters import floatformat
from django.templatetags.static import static
from django.urls import reverse
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from wallet.assets.models import CreditPool, PoolKind
from wallet.money import format_amount_grouped
from wallet.pages.offer_rows import MOST_COUNTED
from wallet.pages.offers import is_soon

register = Library()

# Signs that mean one currency to everybody who reads one of our languages; others are written by their code.
SIGNS = {"INR": "₹", "USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥"}
KINDS = {PoolKind.SIGNUP: _("Sign-up bonus"), PoolKind.REFERRAL: _("Referral reward"), PoolKind.PROMOTION: _("Promotion")}


@register.filter
def money(amount: Decimal, currency: str) -> str:
    """Return an exact amount with its currency, grouped as the reader's language does: ₹1,23,456.00, KWD 5.250."""
    number = format_amount_grouped(amount, currency, lakhs=get_language() == "hi")
    sign = SIGNS.get(currency)
    return f"{sign}{number}" if sign else f"{currency}\N{NO-BREAK SPACE}{number}"


@register.filter
def moment(instant: datetime, purpose: str = "") -> SafeString:
    """Return an instant for people and for machines, both in UTC; a browser with a script says it in its own zone.

    `purpose` lets that script count down to it: "ends" or "opens".
    """
    utc = instant.astimezone(UTC)
    mark = format_html(" data-{}", purpose) if purpose else ""
    return format_html(
        '<time datetime="{}"{}>{} UTC</time>', f"{utc:%Y-%m-%dT%H:%M:%SZ}", mark, date_format(utc, "j M Y, H:i", use_l10n=False)
    )


register.filter("is_soon", is_soon)


@register.filter
def left(number: int) -> str:
    """Return how many credits of an offer are left, grouped as the reader's language does; "1,000+" beyond what is counted."""
    return f"{floatformat(MOST_COUNTED, '0g')}+" if number > MOST_COUNTED else floatformat(number, "0g")


@register.filter
def kind(pool: CreditPool) -> str:
    """Return why a pool hands out credit, in the reader's language."""
    return str(KINDS[PoolKind(pool.kind)])


@register.simple_tag
def icon(name: str) -> SafeString:
    """Return one of the drawings in icons.svg; it says nothing that the text beside it does not."""
    return format_html('<svg class="icon" aria-hidden="true"><use href="{}#{}"/></svg>', static("cashback/icons.svg"), name)


@register.simple_tag
def languages() -> list[tuple[str, str]]:
    """Return the languages there are, by code, each under its own name."""
    return settings.LANGUAGES


@register.simple_tag
def fresh_key() -> str:
    """Return a new idempotency key: sent twice, a form is done once."""
    return secrets.token_urlsafe(24)


@register.simple_tag(takes_context=True)
def way_back(context: Context) -> SafeString | str:
    """Return the field that says which page a form is on; nothing on the offers, where one returns to anyway."""
    address = context.get("back") or context["request"].get_full_path()
    return "" if address == reverse("offers") else format_html('<input type="hidden" name="back" value="{}">', address)
