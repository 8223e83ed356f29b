"""Template filters and tags of the pages: money, time, icons and form fields."""

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
from wallet.money import currency_symbol, format_amount_grouped
from wallet.pages.offer_rows import MAX_COUNTED
from wallet.pages.offers import is_soon

register = Library()

KINDS = {PoolKind.SIGNUP: _("Sign-up bonus"), PoolKind.REFERRAL: _("Referral reward"), PoolKind.PROMOTION: _("Promotion")}


@register.filter
def money(amount: Decimal, currency: str) -> str:
    """Return an exact amount with its currency, grouped for the active language: ₹1,23,456.00, KWD 5.250."""
    number = format_amount_grouped(amount, currency, lakhs=get_language() == "hi")
    symbol = currency_symbol(currency)
    return f"{symbol}{number}" if symbol else f"{currency}\N{NO-BREAK SPACE}{number}"


@register.filter
def time_tag(time: datetime, countdown: str = "") -> SafeString:
    """Return a <time> element in UTC, which the script converts to the browser's time zone.

    `countdown` ("ends" or "opens") lets the script count down to it.
    """
    utc = time.astimezone(UTC)
    mark = format_html(" data-{}", countdown) if countdown else ""
    return format_html(
        '<time datetime="{}"{}>{} UTC</time>', f"{utc:%Y-%m-%dT%H:%M:%SZ}", mark, date_format(utc, "j M Y, H:i", use_l10n=False)
    )


register.filter("is_soon", is_soon)


@register.filter
def left(number: int) -> str:
    """Return the number of credits left in an offer, grouped for the active language; "1,000+" beyond MAX_COUNTED."""
    return f"{floatformat(MAX_COUNTED, '0g')}+" if number > MAX_COUNTED else floatformat(number, "0g")


@register.filter
def kind(pool: CreditPool) -> str:
    """Return the kind of a pool in the active language."""
    return str(KINDS[PoolKind(pool.kind)])


@register.simple_tag
def icon(name: str) -> SafeString:
    """Return a decorative icon of icons.svg, hidden from screen readers."""
    return format_html('<svg class="icon" aria-hidden="true"><use href="{}#{}"/></svg>', static("cashback/icons.svg"), name)


@register.simple_tag
def languages() -> list[tuple[str, str]]:
    """Return the available languages as (code, own name)."""
    return settings.LANGUAGES


@register.simple_tag
def new_idempotency_key() -> str:
    """Return a new idempotency key, so that a form sent twice takes effect once."""
    return secrets.token_urlsafe(24)


@register.simple_tag(takes_context=True)
def return_field(context: Context) -> SafeString | str:
    """Return the hidden field with the URL to return to; nothing on the offers, which are the default."""
    url = context.get("back") or context["request"].get_full_path()
    return "" if url == reverse("offers") else format_html('<input type="hidden" name="back" value="{}">', url)
