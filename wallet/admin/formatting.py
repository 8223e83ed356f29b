"""How the admin writes money and links in a list."""

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
    """Return an exact amount and its currency, held on one line."""
    return f"{format_amount_grouped(amount, currency)}\N{NO-BREAK SPACE}{currency}"


LINK = '<a href="{}" class="text-primary-600 dark:text-primary-400 hover:underline">{}</a>'


def format_moment_cell(instant: datetime | None) -> SafeString | None:
    """Return an instant in UTC, to the minute, held on one line; None for none."""
    if instant is None:
        return None
    return format_html('<span class="whitespace-nowrap">{}</span>', format_minute(instant))


def link_to(row: Model | None) -> SafeString | None:
    """Return a link to a row's page; None without a row."""
    if row is None:
        return None
    address = reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])
    return format_html(LINK, address, row)


def link_to_owner(user: User | None) -> SafeString | None:
    """Return a user's email with a link to all that they own; None without a user."""
    if user is None:
        return None
    return owned_by_url(user.email)


def owned_by_url(email: str) -> SafeString:
    """Return an email with a link to all that its user owns."""
    address = f"{reverse('admin:ledger_claimedasset_changelist')}?{urlencode({'q': email})}"
    # An email has no spaces: let a long one wrap, or it pushes its column over the others.
    return format_html('<span style="overflow-wrap: anywhere">{}</span>', format_html(LINK, address, email))


def format_utc(instant: datetime) -> datetime:
    """Return an instant on the clock that the console shows."""
    return instant.astimezone(UTC)


def link_to_history(pk: UUID, title: str) -> SafeString:
    """Return a link to all that happened to a credit."""
    return format_html(LINK, reverse("admin:assets_cashbackasset_history", args=[pk]), title)


def format_digest(content: bytes | memoryview) -> SafeString:
    """Return bytes in hexadecimal, which may break anywhere on a narrow screen."""
    return format_html('<code style="overflow-wrap: anywhere">{}</code>', bytes(content).hex())
