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


def room(title: str | Promise, icon: str, name: str) -> dict[str, Any]:
    """Return one entry of the side bar; a page that has an entry of its own does not light up its room's as well."""
    link = reverse_lazy(name if name == "system" else f"admin:{name}")

    def active(request: HttpRequest) -> bool:
        path, here = request.path, str(link)
        return path == here or (path.startswith(here) and name != "index" and not path.startswith(within(here)))

    return {"title": title, "icon": icon, "link": link, "active": active}


def within(address: str) -> tuple[str, ...]:
    """Return the addresses below a room's that have an entry of their own."""
    return (f"{address}import/", f"{address}owners/")


def rooms(request: HttpRequest) -> list[dict[str, Any]]:
    """Return the side bar: what this person may enter."""
    supply = [
        room(_("Overview"), "space_dashboard", "index"),
        room(_("Pools"), "inventory_2", "assets_creditpool_changelist"),
        room(_("Credits"), "redeem", "assets_cashbackasset_changelist"),
        room(_("Import"), "upload_file", "assets_cashbackasset_import"),
    ]
    books = [
        room(_("Ownership"), "key", "ledger_claimedasset_changelist"),
        room(_("Owners"), "group", "ledger_claimedasset_owners"),
        room(_("Ledger"), "menu_book", "ledger_entry_changelist"),
        room(_("Seals"), "verified", "ledger_seal_changelist"),
    ]
    trail = [
        room(_("Issued"), "add_card", "assets_issuance_changelist"),
        room(_("Changes"), "history", "assets_cashbackassetevent_changelist"),
        room(_("System"), "monitor_heart", "system"),
    ]
    groups = [
        {"title": _("Supply"), "items": supply},
        {"title": _("Books"), "items": books},
        {"title": _("Trail"), "items": trail},
    ]
    if is_superuser(request):
        people = [
            room(_("Users"), "person", "accounts_user_changelist"),
            room(_("Schedules"), "schedule", "django_q_schedule_changelist"),
            room(_("Failed tasks"), "error", "django_q_failure_changelist"),
        ]
        groups.append({"title": _("Superuser"), "items": people})
    return groups
