"""The ways into the rooms, in the operators' words."""

from typing import Any

from django.http import HttpRequest
from django.urls import reverse_lazy
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from accounts.models import User


def is_superuser(request: HttpRequest) -> bool:
    """Return whether people and the clock are shown."""
    return isinstance(request.user, User) and request.user.is_active and request.user.is_superuser


def sidebar_item(title: str | Promise, icon: str, name: str) -> dict[str, Any]:
    """Return one entry of the side bar; a page that has an entry of its own does not light up its room's as well."""
    link = reverse_lazy(name if name == "system" else f"admin:{name}")

    def active(request: HttpRequest) -> bool:
        path, here = request.path, str(link)
        return path == here or (path.startswith(here) and name != "index" and not path.startswith(nested_addresses(here)))

    return {"title": title, "icon": icon, "link": link, "active": active}


def nested_addresses(address: str) -> tuple[str, ...]:
    """Return the addresses below a room's that have an entry of their own."""
    return (f"{address}import/", f"{address}owners/")


def sidebar_groups(request: HttpRequest) -> list[dict[str, Any]]:
    """Return the side bar: what this person may enter."""
    supply = [
        sidebar_item(_("Overview"), "space_dashboard", "index"),
        sidebar_item(_("Pools"), "inventory_2", "assets_creditpool_changelist"),
        sidebar_item(_("Credits"), "redeem", "assets_cashbackasset_changelist"),
        sidebar_item(_("Import"), "upload_file", "assets_cashbackasset_import"),
    ]
    books = [
        sidebar_item(_("Ownership"), "key", "ledger_claimedasset_changelist"),
        sidebar_item(_("Owners"), "group", "ledger_claimedasset_owners"),
        sidebar_item(_("Ledger"), "menu_book", "ledger_entry_changelist"),
        sidebar_item(_("Seals"), "verified", "ledger_seal_changelist"),
    ]
    trail = [
        sidebar_item(_("Issued"), "add_card", "assets_issuance_changelist"),
        sidebar_item(_("Changes"), "history", "assets_cashbackassetevent_changelist"),
        sidebar_item(_("System"), "monitor_heart", "system"),
    ]
    groups = [
        {"title": _("Supply"), "items": supply},
        {"title": _("Books"), "items": books},
        {"title": _("Trail"), "items": trail},
    ]
    if is_superuser(request):
        people = [
            sidebar_item(_("Users"), "person", "accounts_user_changelist"),
            sidebar_item(_("Schedules"), "schedule", "django_q_schedule_changelist"),
            sidebar_item(_("Failed tasks"), "error", "django_q_failure_changelist"),
        ]
        groups.append({"title": _("Superuser"), "items": people})
    return groups
