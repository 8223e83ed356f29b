"""The email of a notice: a template per kind and language, in the person's language and time zone.

The templates are files, notices/<language>/<kind>.txt, so that a platform can replace each (SITE_TEMPLATES). The first line is
the subject.
"""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from babel.dates import format_date as babel_date
from babel.dates import format_time as babel_time
from django.conf import settings
from django.core.mail import EmailMessage
from django.template.loader import render_to_string
from django.urls import reverse

from accounts.languages import language_of
from accounts.models import User
from kernel.time_zones import time_zones
from wallet.money import currency_symbol, format_amount_grouped
from wallet.notices.ending_credits import MAX_LISTED
from wallet.notices.models import Notice
from wallet.notices.unsubscribe_links import unsubscribe_link

A_MOMENT = timedelta(microseconds=1)


def build_notice_email(notice: Notice, user: User) -> EmailMessage:
    """Return the email of a notice, with the headers by which mail programs unsubscribe (RFC 8058)."""
    language = language_of(user)
    unsubscribe = unsubscribe_link(user.pk, notice.kind)
    context = email_context(notice.payload, language, zone_of(user)) | {
        "wallet": settings.PUBLIC_URL + reverse("dashboard"),
        "unsubscribe": unsubscribe,
    }
    text = render_to_string(f"notices/{language}/{notice.kind}.txt", context)
    subject, _, body = text.strip().partition("\n")
    headers = {
        "List-Unsubscribe": f"<{unsubscribe}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        "Auto-Submitted": "auto-generated",
        # The same for the same notice, whoever sends it.
        "Message-ID": f"<{notice.pk}@{urlsplit(settings.PUBLIC_URL).hostname}>",
    }
    return EmailMessage(subject.strip(), body.strip() + "\n", settings.DEFAULT_FROM_EMAIL, [user.email], headers=headers)


def zone_of(user: User) -> ZoneInfo:
    """Return the user's time zone; UTC while it is not known."""
    return ZoneInfo(user.time_zone if user.time_zone in time_zones() else "UTC")


def email_context(payload: dict[str, Any], language: str, zone: ZoneInfo) -> dict[str, Any]:
    """Return what a template shows of a payload, with amounts and dates in words; lists are written for each of their lines."""
    context: dict[str, Any] = dict(payload)
    for name in ("amount", "left"):
        if name in payload:
            context[name] = money_in_words(payload[name], payload["currency"], language)
    for name in ("credits", "totals"):
        context[name] = [email_context(line, language, zone) for line in payload.get(name, [])[:MAX_LISTED]]
    if until := payload.get("spendable_until"):
        context["last_day"] = last_time_in_words(datetime.fromisoformat(until), language, zone)
    if start := payload.get("spendable_from"):
        begins = datetime.fromisoformat(start)
        context["first_day"] = day_in_words(begins.astimezone(zone).date(), language) if begins > datetime.now(UTC) else None
    context["more"] = payload.get("count", 0) - len(context["credits"])
    context["nothing_left"] = "left" in payload and not Decimal(payload["left"])
    context["all_left"] = payload.get("left") == payload.get("amount")
    return context


def money_in_words(amount: str, currency: str, language: str) -> str:
    """Return an amount with its currency: ₹1,23,456.00, KWD 5.250."""
    number = format_amount_grouped(Decimal(amount), currency, lakhs=language == "hi")
    symbol = currency_symbol(currency)
    return f"{symbol}{number}" if symbol else f"{currency}\N{NO-BREAK SPACE}{number}"


def last_time_in_words(end: datetime, language: str, zone: ZoneInfo) -> str:
    """Return the last day before an end at midnight, "31 Mar 2027", or else the end with its time: "31 Mar 2027, 6:30 pm"."""
    local = end.astimezone(zone)
    if local.time() == time.min:
        return day_in_words((local - A_MOMENT).date(), language)
    clock = babel_time(local.time(), "h:mm a", locale=language).lower()
    suffix = " UTC" if zone.key == "UTC" else ""
    return f"{day_in_words(local.date(), language)}, {clock}{suffix}"


def day_in_words(day: date, language: str) -> str:
    """Return a day: "31 Mar 2027"."""
    return babel_date(day, "d MMM y", locale=language)
