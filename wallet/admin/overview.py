"""What an operator sees first: the ways into the rooms, and the supply in figures."""

from typing import Any

from django.http import HttpRequest
from django.urls import reverse_lazy
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts.models import User
from wallet import reports

STATES = ("issued", "available", "claimed", "expired", "liability")


def figures(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Put the summary into the context of the index: per currency and pool, count and value of each state."""
    table = {"headers": ["Pool", *STATES], "rows": [line(row) for row in reports.summary()]}
    return context | {"title": "Overview", "summary": table}


def line(row: dict[str, Any]) -> list[SafeString]:
    """Return one row of the summary: the pool with its currency, then value and count of each state."""
    pool = row["pool"]["name"] if row["pool"] else "No pool"
    return [cell(pool, row["currency"]), *(cell(row[state]["value"], row[state]["count"]) for state in STATES)]


def cell(first: object, second: object) -> SafeString:
    """Return a cell of two lines, the second in small print."""
    return format_html(
        '<div><div class="text-font-important-light dark:text-font-important-dark">{}</div><div class="text-xs">{}</div></div>',
        first,
        second,
    )


def is_superuser(request: HttpRequest) -> bool:
    """Return whether people and the clock are shown."""
    return isinstance(request.user, User) and request.user.is_active and request.user.is_superuser


def room(title: str, icon: str, name: str) -> dict[str, Any]:
    """Return one entry of the side bar."""
    return {"title": title, "icon": icon, "link": reverse_lazy(f"admin:{name}")}


def rooms(request: HttpRequest) -> list[dict[str, Any]]:
    """Return the side bar: what this person may enter, in their words."""
    supply = [
        room("Overview", "space_dashboard", "index"),
        room("Pools", "inventory_2", "assets_creditpool_changelist"),
        room("Credits", "redeem", "assets_cashbackasset_changelist"),
    ]
    books = [
        room("Ownership", "group", "ledger_claimedasset_changelist"),
        room("Ledger", "menu_book", "ledger_entry_changelist"),
    ]
    groups = [{"title": "Supply", "items": supply}, {"title": "Books", "items": books}]
    if is_superuser(request):
        people = [
            room("Users", "person", "accounts_user_changelist"),
            room("Schedules", "schedule", "django_q_schedule_changelist"),
            room("Failed tasks", "error", "django_q_failure_changelist"),
        ]
        groups.append({"title": "Superuser", "items": people})
    return groups
