"""The sidebar of the console: groups and links."""

from typing import Any

from django.http import HttpRequest
from django.urls import reverse, reverse_lazy
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from wallet.queries.payment_search import CURRENT_HOLDS

REPORTS = {
    "trial-balance": (_("Trial balance"), "balance"),
    "liability": (_("Liability"), "hourglass_bottom"),
    "breakage": (_("Breakage"), "timer_off"),
    "settlement": (_("Settlement"), "storefront"),
    "journal": (_("Journal"), "receipt_long"),
}
# URLs that are not of a section.
OUTSIDE = ("system", "customer_search", "services", "webhooks", *(f"report_{name}" for name in REPORTS))


def is_superuser(request: HttpRequest) -> bool:
    """Return whether the section for superusers is shown."""
    return isinstance(request.user, User) and request.user.is_active and request.user.is_superuser


def sidebar_item(title: str | Promise, icon: str, name: str) -> dict[str, Any]:
    """Return one sidebar entry. It is not active on a nested page with an entry of its own."""
    link = reverse_lazy(name if name in OUTSIDE else f"admin:{name}")

    def active(request: HttpRequest) -> bool:
        path, url = request.path, str(link)
        if name == "ledger_payment_changelist" and is_current_holds(request):
            return False
        return path == url or (path.startswith(url) and name != "index" and not path.startswith(nested_urls(url)))

    return {"title": title, "icon": icon, "link": link, "active": active}


def is_current_holds(request: HttpRequest) -> bool:
    """Return whether the page is the list of current holds: that of the payments, filtered."""
    return request.path == reverse("admin:ledger_payment_changelist") and request.GET.get("state") == CURRENT_HOLDS


def current_holds_item() -> dict[str, Any]:
    """Return the sidebar entry of the current holds."""
    item = sidebar_item(_("Current holds"), "lock_clock", "ledger_payment_changelist")
    return item | {"link": f"{item['link']}?state={CURRENT_HOLDS}", "active": is_current_holds}


def nested_urls(url: str) -> tuple[str, ...]:
    """Return the URLs below a section that have sidebar entries of their own."""
    return (f"{url}import/", f"{url}owners/")


def sidebar_groups(request: HttpRequest) -> list[dict[str, Any]]:
    """Return the sidebar groups that the caller may see."""
    credits = [
        sidebar_item(_("Overview"), "space_dashboard", "index"),
        sidebar_item(_("Pools"), "inventory_2", "assets_creditpool_changelist"),
        sidebar_item(_("Credits"), "redeem", "assets_cashbackasset_changelist"),
        sidebar_item(_("Batches"), "inventory", "assets_batch_changelist"),
        sidebar_item(_("Import"), "upload_file", "assets_cashbackasset_import"),
    ]
    records = [
        sidebar_item(_("Ownership"), "key", "ledger_claimedasset_changelist"),
        sidebar_item(_("Find a customer"), "person_search", "customer_search"),
        sidebar_item(_("Customers"), "group", "ledger_claimedasset_owners"),
        sidebar_item(_("Ledger"), "menu_book", "ledger_entry_changelist"),
        sidebar_item(_("Seals"), "verified", "ledger_seal_changelist"),
    ]
    payments = [
        sidebar_item(_("Payments"), "payments", "ledger_payment_changelist"),
        current_holds_item(),
        sidebar_item(_("Lapses"), "event_busy", "ledger_lapse_changelist"),
        sidebar_item(_("Services"), "store", "services"),
        sidebar_item(_("Webhooks"), "webhook", "webhooks"),
    ]
    programme = [
        sidebar_item(_("Rules"), "rule", "programme_grantrule_changelist"),
        sidebar_item(_("Due credits"), "pending_actions", "programme_grantdue_changelist"),
        sidebar_item(_("Referrals"), "group_add", "programme_referral_changelist"),
    ]
    finance = [sidebar_item(title, icon, f"report_{name}") for name, (title, icon) in REPORTS.items()]
    activity = [
        sidebar_item(_("Approvals"), "approval", "ledger_proposal_changelist"),
        sidebar_item(_("Issue history"), "add_card", "assets_issuance_changelist"),
        sidebar_item(_("Change log"), "history", "assets_cashbackassetevent_changelist"),
        sidebar_item(_("Bulk jobs"), "dynamic_feed", "assets_bulkjob_changelist"),
        sidebar_item(_("System"), "monitor_heart", "system"),
    ]
    groups = [
        {"title": _("Credits"), "items": credits},
        {"title": _("Records"), "items": records},
        {"title": _("Programme"), "items": programme},
        {"title": _("Payments"), "items": payments},
        {"title": _("Finance"), "items": finance},
        {"title": _("Activity"), "items": activity},
    ]
    if is_superuser(request):
        superuser = [
            sidebar_item(_("Users"), "person", "accounts_user_changelist"),
            sidebar_item(_("Schedules"), "schedule", "django_q_schedule_changelist"),
            sidebar_item(_("Failed tasks"), "error", "django_q_failure_changelist"),
        ]
        groups.append({"title": _("Superuser"), "items": superuser})
    return groups
