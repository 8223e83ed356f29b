"""Template filters and tags of the pages: money, time, icons and form fields."""

import secrets
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.template import Context, Library
from django.template.defaultfilters import floatformat
from django.templatetags.static import static
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import get_language, gettext
from django.utils.translation import gettext_lazy as _

from wallet.assets.models import CreditPool, PoolKind
from wallet.ledger.models import Allocation, Entry
from wallet.ledger.payment_state import PaymentState
from wallet.money import currency_symbol, format_amount, format_amount_grouped
from wallet.pages.dates import format_day, format_moment, format_short_day, last_day, local_day, zone_name
from wallet.pages.offer_rows import MAX_COUNTED
from wallet.pages.offers import is_soon

register = Library()

MOVEMENT_KINDS = {
    "HOLD": _("Held for an order"),
    "CAPTURE": _("Payment"),
    "SPEND": _("Payment"),
    "RELEASE": _("Hold released"),
    "REFUND": _("Refund"),
    "LAPSE": _("Ended unused"),
    "CLAWBACK": _("Taken back by the issuer"),
    "EXTEND": _("Valid for longer"),
}
MINUS = "\N{MINUS SIGN}"
PAYMENT_STATES = {
    PaymentState.HELD: _("Held"),
    PaymentState.PARTLY_CAPTURED: _("Shipped in part"),
    PaymentState.CAPTURED: _("Paid"),
    PaymentState.PARTLY_REFUNDED: _("Refunded in part"),
    PaymentState.REFUNDED: _("Refunded"),
    PaymentState.RELEASED: _("Cancelled"),
    PaymentState.EXPIRED: _("The hold has ended"),
}
# What a movement does to the balance; a hold and its release do not change it.
SIGNS = {"CLAIM": "+", "REFUND": "+"} | dict.fromkeys(("CAPTURE", "SPEND", "LAPSE", "CLAWBACK"), MINUS)
KINDS = {PoolKind.SIGNUP: _("Sign-up bonus"), PoolKind.REFERRAL: _("Referral reward"), PoolKind.PROMOTION: _("Promotion")}


@register.filter
def money(amount: Decimal, currency: str) -> str:
    """Return an exact amount with its currency, grouped for the active language: ₹1,23,456.00, KWD 5.250."""
    number = format_amount_grouped(amount, currency, lakhs=get_language() == "hi")
    symbol = currency_symbol(currency)
    return f"{symbol}{number}" if symbol else f"{currency}\N{NO-BREAK SPACE}{number}"


@register.filter
def money_change(amount: Decimal, currency: str) -> str:
    """Return an amount with its sign."""
    return f"{MINUS if amount < 0 else '+'}{money(abs(amount), currency)}"


@register.filter
def signed_amount(line: Any) -> str:
    """Return the amount of a claim or movement with the sign of what it does to the balance, without one if it does nothing."""
    return f"{SIGNS.get(line.kind, '')}{money(line.amount, line.currency)}"


@register.filter
def payment_state(state: PaymentState) -> str:
    """Return the state of a payment in the active language."""
    return str(PAYMENT_STATES[state])


@register.filter
def plain_amount(amount: Decimal, currency: str) -> str:
    """Return an amount as a form takes it, with its currency's decimals."""
    return format_amount(amount, currency)


@register.filter
def order_number(reference: str) -> str:
    """Return the number of a demo shop's order from its reference."""
    return reference.partition(":")[0]


@register.filter
def came_back(part: Allocation) -> Decimal:
    """Return what went back to a credit of what it bore of a payment."""
    return part.released + part.refunded


@register.filter
def movement_kind(kind: str) -> str:
    """Return the kind of a movement in the active language."""
    return str(MOVEMENT_KINDS[kind])


@register.filter
def time_tag(moment: datetime) -> SafeString:
    """Return a <time> element with a timestamp in the current time zone."""
    return format_html('<time datetime="{}">{}</time>', machine_readable(moment), format_moment(moment))


@register.filter
def day_tag(moment: datetime) -> SafeString:
    """Return a <time> element with the day of a timestamp in the current time zone."""
    day = format_day(local_day(moment))
    return format_html('<time datetime="{}" data-day>{}</time>', machine_readable(moment), day)


@register.filter
def end_tag(end: datetime, time_zone: str) -> SafeString:
    """Return a <time> element with an exclusive end: its last day when it is midnight in `time_zone`, the pool's zone.

    The script counts down to an end within SOON.
    """
    day = last_day(end, time_zone)
    shown, full = (format_day(day), " data-last-day") if day else (format_moment(end), "")
    countdown = " data-ends" if is_soon(end) and end > timezone.now() else ""
    return format_html(
        '<time datetime="{}" title="{}"{}{}>{}</time>', machine_readable(end), format_moment(end), full, countdown, shown
    )


@register.filter
def deadline_tag(end: datetime) -> SafeString:
    """Return a <time> element with an end to which the script counts down when it is within SOON."""
    countdown = " data-ends" if is_soon(end) and end > timezone.now() else ""
    shown = format_moment(end)
    return format_html('<time datetime="{}" title="{}"{}>{}</time>', machine_readable(end), shown, countdown, shown)


@register.filter
def opening_tag(start: datetime) -> SafeString:
    """Return a <time> element with an opening, to which the script counts down."""
    return format_html('<time datetime="{}" data-opens>{}</time>', machine_readable(start), format_moment(start))


def machine_readable(moment: datetime) -> str:
    """Return a timestamp for the datetime attribute: in UTC."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


register.filter("day", format_day)
register.filter("short_day", format_short_day)


@register.simple_tag
def time_zone_name() -> str:
    """Return the name of the current time zone in the active language."""
    return zone_name()


@register.simple_tag
def time_zone_note() -> str:
    """Return the sentence of the footer on the time zone of the page."""
    if timezone.get_current_timezone_name() == "UTC":
        return gettext("Times are in UTC.")
    return gettext("Times are in your time zone, {zone}.").format(zone=zone_name())


register.filter("is_soon", is_soon)


@register.filter
def left(number: int) -> str:
    """Return the number of credits left in an offer, grouped for the active language; "1,000+" beyond MAX_COUNTED."""
    return f"{floatformat(MAX_COUNTED, '0g')}+" if number > MAX_COUNTED else floatformat(number, "0g")


@register.filter
def kind(pool: CreditPool) -> str:
    """Return the kind of a pool in the active language."""
    return str(KINDS[PoolKind(pool.kind)])


@register.filter
def reference(entry: Entry) -> str:
    """Return the short reference of a claim: the last 12 digits of its id, in groups of four."""
    digits = entry.pk.hex[-12:].upper()
    return "-".join((digits[:4], digits[4:8], digits[8:]))


@register.simple_tag
def icon(name: str) -> SafeString:
    """Return a decorative icon of icons.svg, hidden from screen readers."""
    return format_html('<svg class="icon" aria-hidden="true"><use href="{}#{}"/></svg>', static("cashback/icons.svg"), name)


@register.simple_tag
def languages() -> list[tuple[str, str]]:
    """Return the available languages as (code, own name)."""
    return settings.LANGUAGES


@register.simple_tag
def has_demo_shop() -> bool:
    """Return whether the demo shop is on."""
    return settings.DEMO_SHOP


@register.filter
def moment(text: str | None) -> datetime | None:
    """Return the time that a timestamp of the API names."""
    return datetime.fromisoformat(text) if text else None


@register.simple_tag
def new_idempotency_key() -> str:
    """Return a new idempotency key, so that a form sent twice takes effect once."""
    return secrets.token_urlsafe(24)


@register.simple_tag(takes_context=True)
def return_field(context: Context) -> SafeString | str:
    """Return the hidden field with the URL to return to; nothing on the offers, which are the default."""
    url = context.get("back") or context["request"].get_full_path()
    return "" if url == reverse("offers") else format_html('<input type="hidden" name="back" value="{}">', url)
