"""A pool's page as a campaign's page: supply, claims, expiries, links, and what can be done with the whole pool."""

from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.admin.models import LogEntry
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import OperationalError
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import path, reverse
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from accounts.expensive_reads import SEARCH
from accounts.models import User
from kernel.rate_limits import RateLimited
from kernel.refusals import Refusal
from kernel.slots import ReadsBusy
from kernel.versions import Precondition, accept_any, require_version, version_of
from wallet.actions import edit_pool, pool_lifecycle
from wallet.admin import dashboard
from wallet.admin.base import OperatorAdmin, error_sentence, is_operator, require_operator
from wallet.admin.charts import Chart, build_chart
from wallet.assets.models import CreditPool
from wallet.money import format_amount_grouped
from wallet.queries import pool_overview
from wallet.queries.pool_overview import PoolSupply

# What the buttons of the page call, and the message afterwards.
LIFECYCLE: dict[str, tuple[Callable[[UUID, User, Precondition], CreditPool], Promise]] = {
    "pause": (pool_lifecycle.pause_pool, _("Paused. The pool is hidden from users, and claims are rejected.")),
    "resume": (pool_lifecycle.resume_pool, _("Resumed. Users see this pool again.")),
    "archive": (pool_lifecycle.archive_pool, _("Archived. The pool is hidden from lists; its credits and records are kept.")),
    "unarchive": (pool_lifecycle.unarchive_pool, _("Unarchived. The pool is still paused; resume it when you are ready.")),
}
# (state, title, filter of the list of credits)
STATES = (
    ("scheduled", _("Scheduled"), "&status=SCHEDULED"),
    ("available", _("Available"), "&status=AVAILABLE"),
    ("claimed", _("Claimed"), "&status=CLAIMED"),
    ("expired", _("Expired unclaimed"), "&status=EXPIRED"),
)


STATE_LABELS = {
    "Open": "success",
    "Grants only": "success",
    "Not open yet": "info",
    "Paused": "warning",
    "Closed": "danger",
    "Archived": "danger",
}


class PoolPageMixin(OperatorAdmin):
    """The section of pools, whose change page begins with the campaign."""

    change_form_outer_before_template = "admin/pool_campaign.html"

    def get_urls(self) -> list[Any]:
        """Add the URL that the buttons of a pool's page send to."""
        view = self.admin_site.admin_view(self.lifecycle)
        return [path("<any_case_uuid:pool_id>/lifecycle/", view, name="assets_creditpool_lifecycle"), *super().get_urls()]

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Show the form below the campaign. A form that was sent back is shown alone."""
        pool = self.get_object(request, object_id) if object_id and request.method == "GET" else None
        context = campaign_context(pool, require_operator(request)) if pool else {}
        return super().changeform_view(request, object_id, form_url, context | (extra_context or {}))

    def lifecycle(self, request: HttpRequest, pool_id: UUID) -> HttpResponse:
        """Pause, resume, archive, unarchive or duplicate the pool, as the button says."""
        actor = require_operator(request)
        if request.method != "POST":
            raise PermissionDenied
        try:
            return redirect("admin:assets_creditpool_change", self.run_lifecycle(request, pool_id, actor))
        except (Refusal, ValidationError) as error:
            messages.error(request, error_sentence(error))
            return redirect("admin:assets_creditpool_change", pool_id)

    def run_lifecycle(self, request: HttpRequest, pool_id: UUID, actor: User) -> UUID:
        """Run the action of the button and return the id of the pool to show. Raises Refusal, ValidationError."""
        name = request.POST.get("action", "")
        if name == "duplicate":
            new_name = request.POST.get("name", "")
            copy = pool_lifecycle.duplicate_pool(pool_id, actor, new_name, as_shown(request))
            messages.success(request, _("Duplicated. This pool is paused: check its dates, then issue credits and resume it."))
            return copy.pk
        if name not in LIFECYCLE:
            raise ValidationError(_("Choose what to do with this pool."))
        action, message = LIFECYCLE[name]
        pool = action(pool_id, actor, as_shown(request))
        messages.success(request, str(message))
        return pool.pk

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Allow operators to delete a pool; the action refuses one that ever had credits."""
        return is_operator(request)

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        """Ask for confirmation and delete; explain why a pool with credits is kept."""
        pool = self.get_object(request, object_id) if is_operator(request) else None
        try:
            if pool:
                pool_lifecycle.check_empty(pool)
        except pool_lifecycle.PoolNotEmpty as refusal:
            messages.error(request, refusal.message)
            return redirect("admin:assets_creditpool_change", object_id)
        shown = {"shown": version_of(pool, edit_pool.VERSION)} if pool else {}
        return super().delete_view(request, object_id, {**(extra_context or {}), **shown})

    def delete_model(self, request: HttpRequest, obj: Model) -> None:
        """Delete the pool through the action, and log the deletion afterwards."""
        pk = obj.pk
        pool_lifecycle.delete_pool(pk, require_operator(request), as_shown(request))
        super().log_deletions(request, [obj])  # type: ignore[arg-type]

    def log_deletions(self, request: HttpRequest, queryset: Any) -> list[LogEntry]:
        """Log nothing: Django would log before the deletion."""
        return []


def as_shown(request: HttpRequest) -> Precondition:
    """Return the precondition that the pool is still as the page showed it."""
    shown = request.POST.get("shown")
    return require_version(shown, edit_pool.VERSION) if shown else accept_any


def campaign_context(pool: CreditPool, user: User) -> dict[str, Any]:
    """Return what the page shows above the form. Charts are None while the server is busy with other searches."""
    now = timezone.now()
    supply = pool_overview.pool_supply(pool)
    return {
        "campaign": pool,
        "shown": version_of(pool, edit_pool.VERSION),
        "state": pool_state(pool, now),
        "figures": supply_figures(pool, supply),
        "bar": supply_bar(supply),
        "issued": supply.issued[0],
        "links": campaign_links(pool),
        "next_expiry": pool_overview.next_expiry(pool),
        "show_delete": not supply.issued[0] and not is_used(pool),
        **campaign_charts(pool, user, now),
    }


def is_used(pool: CreditPool) -> bool:
    """Return whether the pool ever had a credit."""
    try:
        pool_lifecycle.check_empty(pool)
    except pool_lifecycle.PoolNotEmpty:
        return True
    return False


def pool_state(pool: CreditPool, now: datetime) -> str:
    """Return in one word whether users can claim from the pool, which has the annotation `is_open`."""
    if pool.archived_at:
        return str(_("Archived"))
    if not pool.is_active:
        return str(_("Paused"))
    if pool.is_open:
        return str(_("Grants only") if pool.grants_only else _("Open"))
    return str(_("Not open yet") if pool.opens_at > now else _("Closed"))


def shown_states(supply: PoolSupply) -> list[tuple[str, Promise, str]]:
    """Return the STATES to show: scheduled credits only where there are some."""
    return [state for state in STATES if state[0] != "scheduled" or supply.scheduled[0]]


def supply_figures(pool: CreditPool, supply: PoolSupply) -> list[dict[str, Any]]:
    """Return issued, available, claimed and expired, each with its value and a link to its credits."""
    credits = f"{reverse('admin:assets_cashbackasset_changelist')}?pool={pool.pk}"
    lines: list[dict[str, Any]] = []
    for name, title, query in (("issued", _("Issued"), ""), *shown_states(supply)):
        count, value = getattr(supply, name)
        amount = format_amount_grouped(value, pool.currency)
        lines.append({"name": name, "title": title, "url": credits + query, "count": count, "value": amount})
    return lines


def supply_bar(supply: PoolSupply) -> list[dict[str, Any]]:
    """Return the parts of the bar, each with its start and width in percent of the credits that were not deleted."""
    counts = {name: getattr(supply, name)[0] for name, *_rest in shown_states(supply)}
    total, start, parts = max(sum(counts.values()), 1), 0.0, []
    for name, title, _query in shown_states(supply):
        width = 100 * counts[name] / total
        parts.append({"name": name, "title": title, "count": counts[name], "start": round(start, 3), "width": round(width, 3)})
        start += width
    return parts


def campaign_charts(pool: CreditPool, user: User, now: datetime) -> dict[str, Chart | None]:
    """Return the charts of claims and of expiries; None while too many searches run."""
    try:
        with SEARCH.for_user(user):
            claims, expiring = pool_overview.claims_by_day(pool, now), dashboard.expiring_by_day(str(pool.pk))
    except (RateLimited, ReadsBusy, OperationalError):
        return {"claims": None, "expiring": None}
    return {"claims": build_chart([(f"{day:%d %b}", count, "") for day, count in claims]), "expiring": expiring}


def campaign_links(pool: CreditPool) -> list[tuple[Any, str]]:
    """Return (title, URL) of the lists of what belongs to the pool."""
    lists = (
        (_("Credits"), "assets_cashbackasset_changelist"),
        (_("Customers"), "ledger_claimedasset_owners"),
        (_("Claims"), "ledger_entry_changelist"),
        (_("Batches"), "assets_batch_changelist"),
    )
    return [(title, f"{reverse(f'admin:{name}')}?pool={pool.pk}") for title, name in lists]
