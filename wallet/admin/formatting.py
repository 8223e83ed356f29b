"""Formats of money, times, links and digests in the console."""

from datetime import UTC, datetime
from decimal import Decimal
from urllib.parse import urlencode
from uuid import UUID

from django.db.models import Model
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts.models import User
from kernel.timestamps import format_minute
from wallet.money import format_amount_grouped


def format_money(amount: Decimal, currency: str) -> str:
    """Return an exact amount and its currency, joined by a no-break space."""
    return f"{format_amount_grouped(amount, currency)}\N{NO-BREAK SPACE}{currency}"


LINK = '<a href="{}" class="text-primary-600 dark:text-primary-400 hover:underline">{}</a>'


def format_moment_cell(time: datetime | None) -> SafeString | None:
    """Return a time in UTC, to the minute, that does not wrap; None for None."""
    if time is None:
        return None
    return format_html('<span class="whitespace-nowrap">{}</span>', format_minute(time))


def link_to(row: Model | None) -> SafeString | None:
    """Return a link to a row's page; None without a row."""
    if row is None:
        return None
    url = reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])
    return format_html(LINK, url, row)


def link_titled(row: Model, title: str) -> SafeString:
    """Return a link to a row's page under a title of its own."""
    return format_html(LINK, reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk]), title)


def link_to_owner(user: User | None) -> SafeString | None:
    """Return a user's email with a link to the person's page; None without a user."""
    return None if user is None else link_email(user.email, reverse("customer", args=[user.pk]))


def link_to_person(email: str) -> SafeString:
    """Return an email with a link that leads to the page of its user."""
    return link_email(email, f"{reverse('customer_search')}?{urlencode({'q': email})}")


def link_email(email: str, url: str) -> SafeString:
    """Return an email with a link."""
    # An email has no spaces. A long one must wrap, or its column overlaps the others.
    return format_html('<span style="overflow-wrap: anywhere">{}</span>', format_html(LINK, url, email))


def format_utc(time: datetime) -> datetime:
    """Return a time in UTC, the console's time zone."""
    return time.astimezone(UTC)


def link_to_history(pk: UUID, title: str) -> SafeString:
    """Return a link to the change history of a credit."""
    return format_html(LINK, reverse("admin:assets_cashbackasset_history", args=[pk]), title)


def format_digest(content: bytes | memoryview) -> SafeString:
    """Return bytes in hexadecimal that may wrap anywhere."""
    return format_html('<code style="overflow-wrap: anywhere">{}</code>', bytes(content).hex())
