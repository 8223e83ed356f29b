"""The section of the pools: list, open and change pools, and issue credits in one."""

import secrets
from typing import Any, ClassVar
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.decorators import action, display
from unfold.widgets import (
    UnfoldAdminSelectWidget,
    UnfoldAdminSingleDateWidget,
    UnfoldAdminSplitDateTimeWidget,
    UnfoldAdminTextInputWidget,
)

from kernel.date_fields import DateField, SplitDateTimeField
from kernel.refusals import Refusal
from kernel.versions import ChangedMeanwhile, Precondition, accept_any, require_version, version_of
from wallet.actions import edit_pool, issue_assets
from wallet.actions.approvals import AwaitsApproval
from wallet.actions.edit_pool import ON_DEMAND, POLICIES
from wallet.admin import export_rows, formatting
from wallet.admin.base import ActionForm, add_errors, is_operator, require_operator, tell_that_it_waits
from wallet.admin.bulk_jobs import BulkJobMixin
from wallet.admin.export import ExportMixin, Report
from wallet.admin.filters import ArchivedFilter, CurrencyFilter, KnownChoiceFilter
from wallet.admin.form_fields import AmountField, CurrencyField, WholeNumberField
from wallet.admin.history import ChangeHistoryMixin
from wallet.admin.pool_page import STATE_LABELS, PoolPageMixin, pool_state
from wallet.assets.models import CreditPool
from wallet.ledger.idempotency import KEY_PATTERN, IdempotentRequest, fingerprint
from wallet.queries import change_history

FIELDS = (
    *("name", "kind", "currency", "per_user_limit", "period_limit", "limit_period", "opens_at", "closes_at", "is_active"),
    *("grants_only", "time_zone", "approval_threshold"),
)
KEPT_WHEN_BLANK = ("limit_period", "draw_priority", "refund_grace_days", "clawback_reach")  # or the default of a new pool
PRIORITIES = ((1, _("Before other credits")), (2, _("Normal")), (3, _("After other credits")))


def duration_field(label: Any, help_text: Any) -> forms.CharField:
    """Return a field for a duration in words; blank is none. The pool checks it."""
    return forms.CharField(
        label=label,
        help_text=help_text,
        required=False,
        empty_value=None,
        max_length=60,
        widget=UnfoldAdminTextInputWidget,
    )


class PoolForm(ActionForm):
    """Opens or changes a pool."""

    opens_at = SplitDateTimeField(
        label=_("Opens (UTC)"),
        required=False,
        widget=UnfoldAdminSplitDateTimeWidget,
        help_text=_("When claiming starts. Leave blank to start now."),
    )

    currency = CurrencyField(
        label=_("Currency"), help_text=_("Three-letter code, e.g. INR. Can't be changed once credits exist.")
    )

    credit_lifetime = duration_field(
        _("Claimable for"),
        _("How long credits can be claimed that are issued on demand, e.g. 30 days. Leave blank for no expiry."),
    )
    pending_for = duration_field(
        _("Pending for"), _("How long after the claim a credit can first be spent, e.g. 14 days. Leave blank for at once.")
    )
    valid_for = duration_field(
        _("Valid for"), _("How long a credit can be spent after that, e.g. 48 hours or 6 months. Leave blank for no end.")
    )
    draw_priority = forms.TypedChoiceField(
        label=_("Spending order"),
        choices=PRIORITIES,
        coerce=int,
        required=False,
        widget=UnfoldAdminSelectWidget,
        help_text=_("Among credits of the same order, the one that ends soonest is spent first."),
    )

    approval_threshold = AmountField(
        label=_("Approval threshold"),
        required=False,
        help_text=_(
            "Issues, grants, clawbacks and extensions worth more wait for another operator. Leave blank for none. "
            "A higher threshold, or none, must be approved too."
        ),
    )

    class Meta:
        model = CreditPool
        fields = (*FIELDS, *ON_DEMAND, *POLICIES)
        field_classes: ClassVar = {
            "per_user_limit": WholeNumberField,
            "period_limit": WholeNumberField,
            "refund_grace_days": WholeNumberField,
        }
        labels: ClassVar = {
            "per_user_limit": _("Limit per user"),
            "budget": _("Budget"),
            "credit_title": _("Title of its credits"),
            "credit_value": _("Value of each"),
            "period_limit": _("Limit per user and period"),
            "limit_period": _("Period"),
            "closes_at": _("Closes (UTC)"),
            "is_active": _("Active"),
            "grants_only": _("Grants only"),
            "time_zone": _("Time zone"),
            "ends_with_day": _("Ends with the day"),
            "valid_until": _("Valid until (UTC)"),
            "service": _("Only at this service"),
            "refund_grace_days": _("Refund grace (days)"),
            "clawback_reach": _("Clawback takes from"),
        }
        help_texts: ClassVar = {
            "ends_with_day": _("A credit ends at the end of its last day in the pool's time zone."),
            "valid_until": _("No credit can be spent at or after this time. Leave blank for no such time."),
            "service": _("Credits of this pool pay only there. Leave blank for everywhere."),
            "refund_grace_days": _("How long a refund to an ended credit can be spent. 0: it lapses at once."),
            "clawback_reach": _("Where a clawback looks when the credit itself is spent."),
            "budget": _("Total value in the pool's currency. Leave blank to issue credits by hand."),
            "credit_title": _("Shown to users, e.g. Festival of lights."),
            "credit_value": _("In the pool's currency, e.g. 250.00."),
            "period_limit": _("Maximum number of credits per user in each period. Leave blank for no limit."),
            "limit_period": _("Days, weeks from Monday, or months in the pool's time zone."),
            "name": _("Shown to users, e.g. Welcome bonus."),
            "time_zone": _("Time zone used for end-of-day expiry, e.g. Asia/Kolkata."),
        }

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        for name in KEPT_WHEN_BLANK:
            self.fields[name].required = False

    def changed_values(self) -> dict[str, Any]:
        """Return the changed fields as arguments of the actions."""
        return {name: self.cleaned_data[name] for name in self.changed_data}

    def clean(self) -> dict[str, Any]:
        """Read a blank opening as now, or as the present one, so that the closing is compared with it; keep blank policies."""
        cleaned = super().clean()
        for name in KEPT_WHEN_BLANK:
            if cleaned.get(name) in ("", None) and name not in self.errors:
                cleaned[name] = getattr(self.instance, name)
        if not cleaned.get("opens_at") and "opens_at" not in self.errors:
            cleaned["opens_at"] = timezone.now() if self.instance._state.adding else self.instance.opens_at
        return cleaned


# What the form to issue credits shows of its pool.
SHOWN_OF_POOL = ("name", "currency", "time_zone")


class IssueForm(forms.Form):
    """Issues identical credits in a pool."""

    shown = forms.CharField(required=False, widget=forms.HiddenInput)  # the version of the pool that the form shows
    key = forms.RegexField(rf"\A{KEY_PATTERN}\Z", widget=forms.HiddenInput)
    count = WholeNumberField(
        label=_("Number of credits"),
        min_value=1,
        max_value=issue_assets.MAX_ISSUE_COUNT,
        help_text=_("Up to 100,000 at once."),
    )
    title = forms.CharField(
        label=_("Title"),
        max_length=200,
        widget=UnfoldAdminTextInputWidget,
        help_text=_("Shown to users, e.g. Festival of lights."),
    )
    total_value = AmountField(label=_("Value of each"), help_text=_("In the pool's currency, e.g. 250.00."))
    last_day = DateField(
        label=_("Last day"),
        required=False,
        widget=UnfoldAdminSingleDateWidget,
        help_text=_("Last day they can be claimed, in the pool's time zone. Leave blank for no expiry."),
    )

    expires_at = SplitDateTimeField(
        label=_("Or an exact time (UTC)"),
        required=False,
        widget=UnfoldAdminSplitDateTimeWidget,
        help_text=_("Expiry time (exclusive), instead of a date."),
    )

    per_day = WholeNumberField(
        label=_("A day"),
        required=False,
        min_value=1,
        help_text=_("So many can first be claimed on each day, in the pool's time zone. Leave blank for all at once."),
    )
    starts_on = DateField(
        label=_("First day"),
        required=False,
        widget=UnfoldAdminSingleDateWidget,
        help_text=_("When the first of them can be claimed. Leave blank for now."),
    )

    def clean(self) -> dict[str, Any]:
        """Refuse a last day together with an expiry."""
        cleaned = super().clean() or {}
        if cleaned.get("last_day") and cleaned.get("expires_at"):
            raise ValidationError({"expires_at": _("Enter a date or a time, not both.")}, code="invalid")
        return cleaned

    def precondition(self) -> Precondition:
        """Return the precondition that the pool is still as the form showed it."""
        shown = self.cleaned_data["shown"]
        return require_version(shown, SHOWN_OF_POOL) if shown else accept_any

    def shows(self, pool: CreditPool) -> bool:
        """Return whether the pool is still as the form showed it; otherwise say so and show it as it is now."""
        try:
            self.precondition()(pool)
        except ChangedMeanwhile:
            self.show_changed_pool(pool)
            return False
        return True

    def show_changed_pool(self, pool: CreditPool) -> None:
        """Say that the pool is another one than the form showed, which shows it now."""
        text = _(
            "The pool was changed after you opened this form, so nothing was issued. Check the credits and send them again."
        )
        self.add_error(None, text)
        self.data = {**self.data.dict(), "shown": version_of(pool, SHOWN_OF_POOL)}  # type: ignore[attr-defined]

    def credit_fields(self) -> dict[str, Any]:
        """Return the fields of each credit."""
        values = self.cleaned_data
        expiry = values["expires_at"] or values["last_day"]
        return {"title": values["title"], "total_value": values["total_value"], "expires_at": expiry}

    def start_fields(self) -> dict[str, Any]:
        """Return on which days the credits start."""
        return {name: self.cleaned_data[name] for name in ("per_day", "starts_on")}


def preview_form(pool: CreditPool, form: IssueForm) -> dict[str, Any] | None:
    """Return what the form would issue: count, value of each, total, and end. None after adding its errors to the form."""
    fields, count = form.credit_fields(), form.cleaned_data["count"]
    try:
        days = issue_assets.daily_starts(pool, count, **form.start_fields())
        asset = issue_assets.build_asset(None, pool=pool, claimable_from=days[-1][0], **fields)
    except ValidationError as error:
        add_errors(form, error)
        return None
    return {
        "count": f"{count:,}",
        "title": asset.title,
        "value": formatting.format_money(asset.total_value, asset.currency),
        "total": formatting.format_money(count * asset.total_value, asset.currency),
        "expires": formatting.format_moment_cell(asset.expires_at),
        "last_day": form.cleaned_data["last_day"],
        "days": len(days) if form.cleaned_data["per_day"] else 0,
        "per_day": form.cleaned_data["per_day"],
        "starts": formatting.format_moment_cell(days[0][0]),
    }


@admin.register(CreditPool)
class PoolAdmin(PoolPageMixin, BulkJobMixin, ChangeHistoryMixin, ExportMixin):
    """Pools: open and change them, issue credits, and what concerns a whole pool (pool_page)."""

    form = PoolForm
    fieldsets = (
        (None, {"fields": FIELDS}),
        (
            _("Issued on demand"),
            {
                "fields": ON_DEMAND,
                "description": _("Credits are issued when they are needed, up to the budget. Expired ones are free again."),
            },
        ),
        (_("What a claim promises"), {"fields": POLICIES, "description": _("Changes apply to later claims only.")}),
    )
    list_display = ("name", "kind", "currency", "state", "opens", "closes", "limit", "available", "claimed", "expired")
    list_filter = (ArchivedFilter, ("kind", KnownChoiceFilter), "is_active", CurrencyFilter)
    search_fields = ("name",)
    search_help_text = _("Name")
    actions_detail = ("issue", "bulk")
    report = Report("pools", export_rows.POOL_COLUMNS, export_rows.pool_line)

    def get_queryset(self, request: HttpRequest) -> QuerySet[CreditPool]:
        """Return all pools with the number of their credits in each status, from the supply counters."""
        pools = CreditPool.objects.with_is_open().with_supply()
        counted = pools.annotate(
            issued_now=pools.count_in(~Q(status="DELETED")), claimed_now=pools.count_in(Q(status="CLAIMED"))
        )
        return counted.order_by("-id")

    def changes(self, row: Any) -> list[change_history.Change]:
        """Return the change history of the pool."""
        return change_history.of_pool(row)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Return whether the caller is an operator."""
        return is_operator(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return whether the caller is an operator."""
        return is_operator(request)

    def save_model(self, request: HttpRequest, obj: Model, form: Any, change: bool) -> None:
        """Open or change the pool through the action."""
        if change:
            edit_pool.update_pool(obj.pk, require_operator(request), form.require_unchanged, **form.changed_values())
        else:
            obj.pk = edit_pool.open_pool(require_operator(request), **form.changed_values()).pk

    def response_post_save_add(self, request: HttpRequest, obj: Any) -> HttpResponseRedirect:
        """Redirect to the new pool, with a link to issue its first credits."""
        url = reverse("admin:assets_creditpool_issue", args=[obj.pk])
        messages.info(
            request,
            format_html(
                '{} <a class="underline" href="{}">{}</a>', _("This pool has no credits yet."), url, _("Issue credits")
            ),
        )
        return redirect("admin:assets_creditpool_change", obj.pk)

    @action(description=_("Issue credits"), url_path="issue", icon="add_card")  # type: ignore[untyped-decorator]
    def issue(self, request: HttpRequest, object_id: UUID | str) -> HttpResponse:
        """Show the form to issue credits in this pool, or issue them."""
        require_operator(request)
        try:
            pool = get_object_or_404(CreditPool, pk=object_id)
        except ValidationError:
            return redirect("admin:assets_creditpool_changelist")
        form = IssueForm(
            request.POST or None, initial={"key": secrets.token_urlsafe(24), "shown": version_of(pool, SHOWN_OF_POOL)}
        )
        preview = None
        if request.method == "POST" and form.is_valid():
            if request.POST.get("confirmed") == "yes":
                if self.issue_by_form(request, pool, form):
                    return redirect("admin:assets_creditpool_change", pool.pk)
            elif request.POST.get("change") != "yes" and form.shows(pool):
                preview = preview_form(pool, form)
        context = {**self.admin_site.each_context(request), "opts": self.opts, "pool": pool, "preview": preview}
        context |= {"title": _("Issue credits"), "heading": _("Issue credits")}
        return TemplateResponse(request, "admin/issue_credits.html", context | {"form": form, "media": self.media + form.media})

    def issue_by_form(self, request: HttpRequest, pool: CreditPool, form: IssueForm) -> bool:
        """Issue through the action, once per form. Return False after adding a refusal to the form."""
        fields, count = form.credit_fields() | form.start_fields(), form.cleaned_data["count"]
        request_fingerprint = fingerprint("pool", pool.pk, count, *fields.values())
        operator = require_operator(request)
        keyed_request = IdempotentRequest(operator, "issue", form.cleaned_data["key"], request_fingerprint)
        try:
            result = issue_assets.issue_in_pool(
                operator, pool.pk, count=count, request=keyed_request, precondition=form.precondition(), **fields
            )
        except AwaitsApproval as waiting:
            tell_that_it_waits(request, waiting)
            return True
        except ChangedMeanwhile:
            pool.refresh_from_db()
            form.show_changed_pool(pool)
            return False
        except ValidationError as error:
            add_errors(form, error)
            return False
        except Refusal as refusal:
            form.add_error(None, refusal.message)
            return False
        text = ngettext("%(count)s credit issued in %(pool)s.", "%(count)s credits issued in %(pool)s.", result.count)
        summary = text % {"count": f"{result.count:,}", "pool": pool}
        notice = _("This form was already sent; nothing was issued again.") if result.replayed else ""
        messages.success(request, f"{notice} {summary}".strip())
        return True

    @display(description=_("state"), label=STATE_LABELS)  # type: ignore[untyped-decorator]
    def state(self, pool: CreditPool) -> str:
        """Return whether users can claim from the pool."""
        return pool_state(pool, timezone.now())

    @display(description=_("opens (UTC)"), ordering="opens_at")  # type: ignore[untyped-decorator]
    def opens(self, pool: CreditPool) -> Any:
        """Return when claiming starts."""
        return formatting.format_moment_cell(pool.opens_at)

    @display(description=_("closes (UTC)"), ordering="closes_at", empty_value=_("no end"))  # type: ignore[untyped-decorator]
    def closes(self, pool: CreditPool) -> Any:
        """Return when claiming ends."""
        return formatting.format_moment_cell(pool.closes_at)

    @display(description=_("per user"), ordering="per_user_limit", empty_value=_("no limit"))  # type: ignore[untyped-decorator]
    def limit(self, pool: CreditPool) -> int | None:
        """Return how many credits each user may claim."""
        return pool.per_user_limit

    @display(description=_("available"), ordering="available")  # type: ignore[untyped-decorator]
    def available(self, pool: Any) -> str:
        """Return the number of claimable credits."""
        return f"{pool.available:,}"

    @display(description=_("claimed"), ordering="claimed_now")  # type: ignore[untyped-decorator]
    def claimed(self, pool: Any) -> str:
        """Return the number of claimed credits."""
        return f"{pool.claimed_now:,}"

    @display(description=_("expired"))  # type: ignore[untyped-decorator]
    def expired(self, pool: Any) -> str:
        """Return the number of credits that expired unclaimed."""
        return f"{export_rows.expired_unclaimed(pool):,}"
