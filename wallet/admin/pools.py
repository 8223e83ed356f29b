"""The room of the pools, and issuing credits in one."""

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
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.decorators import action, display
from unfold.widgets import (
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSingleDateWidget,
    UnfoldAdminSplitDateTimeWidget,
    UnfoldAdminTextInputWidget,
)

from kernel.refusals import Refusal
from wallet.actions import edit_pool, issue_assets
from wallet.admin import export_rows, formatting
from wallet.admin.amounts import AmountField, CurrencyField
from wallet.admin.base import ActionForm, error_sentence, is_operator, require_operator
from wallet.admin.export import Exportable, Report
from wallet.admin.filters import CurrencyFilter
from wallet.admin.history import ChangeHistoryMixin
from wallet.assets.models import CreditPool
from wallet.ledger.idempotency import KEY_PATTERN, IdempotentRequest, fingerprint
from wallet.queries import change_history

FIELDS = ("name", "kind", "currency", "per_user_limit", "opens_at", "closes_at", "is_active", "time_zone")


class PoolForm(ActionForm):
    """What an operator says of a pool."""

    opens_at = forms.SplitDateTimeField(
        label=_("Opens (UTC)"),
        required=False,
        widget=UnfoldAdminSplitDateTimeWidget,
        help_text=_("Claims are accepted from this instant on. Empty: at once."),
    )

    currency = CurrencyField(label=_("Currency"), help_text=_("ISO 4217, e.g. INR. It stays once there are credits."))

    class Meta:
        model = CreditPool
        fields = FIELDS
        labels: ClassVar = {
            "per_user_limit": _("Limit per user"),
            "closes_at": _("Closes (UTC)"),
            "is_active": _("Active"),
            "time_zone": _("Time zone"),
        }
        help_texts: ClassVar = {
            "name": _("Users read it above its credits, e.g. Welcome bonus."),
            "time_zone": _('Where days end: "until 31 March" ends as 1 April begins there, e.g. Asia/Kolkata.'),
        }

    def asked(self) -> dict[str, Any]:
        """Return what the acts are asked for: the fields that were changed."""
        asked = {name: self.cleaned_data[name] for name in self.changed_data}
        if asked.get("opens_at", ...) is None:
            del asked["opens_at"]
        return asked


class IssueForm(forms.Form):
    """How many credits to issue, and which."""

    key = forms.RegexField(rf"\A{KEY_PATTERN}\Z", widget=forms.HiddenInput)
    count = forms.IntegerField(
        label=_("How many"),
        min_value=1,
        max_value=issue_assets.MAX_ISSUE_COUNT,
        widget=UnfoldAdminIntegerFieldWidget,
        help_text=_("Up to 100,000 at once."),
    )
    title = forms.CharField(
        label=_("Title"),
        max_length=200,
        widget=UnfoldAdminTextInputWidget,
        help_text=_("What users read, e.g. Festival of lights."),
    )
    total_value = AmountField(label=_("Value of each"), help_text=_("In the pool's currency, e.g. 250.00."))
    last_day = forms.DateField(
        label=_("Last day"),
        required=False,
        widget=UnfoldAdminSingleDateWidget,
        help_text=_("The last day they can be claimed, where the pool is. Empty: they never expire."),
    )

    expires_at = forms.SplitDateTimeField(
        label=_("Or an exact instant (UTC)"),
        required=False,
        widget=UnfoldAdminSplitDateTimeWidget,
        help_text=_("Instead of a day: the first instant they can no longer be claimed."),
    )

    def clean(self) -> dict[str, Any]:
        """Take one end, not two."""
        cleaned = super().clean() or {}
        if cleaned.get("last_day") and cleaned.get("expires_at"):
            raise ValidationError({"expires_at": _("Give the day or the instant, not both.")}, code="invalid")
        return cleaned

    def fields_of_each(self) -> dict[str, Any]:
        """Return what each credit is made from."""
        given = self.cleaned_data
        end = given["expires_at"] or given["last_day"]
        return {"title": given["title"], "total_value": given["total_value"], "expires_at": end}


@admin.register(CreditPool)
class PoolAdmin(ChangeHistoryMixin, Exportable):
    """Pools: open, change, fill; never deleted, for the books refer to them. Untick "active" instead."""

    form = PoolForm
    fields = FIELDS
    list_display = ("name", "kind", "currency", "is_open", "opens", "closes", "limit", "available", "claimed", "expired")
    list_filter = ("kind", "is_active", CurrencyFilter)
    search_fields = ("name",)
    search_help_text = _("Name")
    actions_detail = ("issue",)
    report = Report("pools", export_rows.POOL_COLUMNS, export_rows.pool_line)

    def get_queryset(self, request: HttpRequest) -> QuerySet[CreditPool]:
        """Return all pools with their numbers of credits per status, from the supply counters."""
        pools = CreditPool.objects.with_is_open().with_supply()
        told = pools.annotate(issued_now=pools.count_in(~Q(status="DELETED")), claimed_now=pools.count_in(Q(status="CLAIMED")))
        return told.order_by("-id")

    def changes(self, row: Any) -> list[change_history.Change]:
        """Return the changes of the pool."""
        return change_history.of_pool(row)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Let operators open one."""
        return is_operator(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Let operators change one."""
        return is_operator(request)

    def save_model(self, request: HttpRequest, obj: Model, form: Any, change: bool) -> None:
        """Open or change the pool by the act."""
        if change:
            edit_pool.update_pool(obj.pk, require_operator(request), **form.asked())
        else:
            obj.pk = edit_pool.open_pool(require_operator(request), **form.asked()).pk

    def response_post_save_add(self, request: HttpRequest, obj: Any) -> HttpResponseRedirect:
        """Lead to the new pool, which is empty: credits are issued from there."""
        way = reverse("admin:assets_creditpool_issue", args=[obj.pk])
        messages.info(
            request, format_html('{} <a class="underline" href="{}">{}</a>', _("It is empty."), way, _("Issue credits"))
        )
        return redirect("admin:assets_creditpool_change", obj.pk)

    @action(description=_("Issue credits"), url_path="issue", icon="add_card")  # type: ignore[untyped-decorator]
    def issue(self, request: HttpRequest, object_id: UUID | str) -> HttpResponse:
        """Ask which credits and how many, then issue them in this pool."""
        require_operator(request)
        try:
            pool = get_object_or_404(CreditPool, pk=object_id)
        except ValidationError:
            return redirect("admin:assets_creditpool_changelist")
        form = IssueForm(request.POST or None, initial={"key": secrets.token_urlsafe(24)})
        if request.method == "POST" and form.is_valid() and self.issued(request, pool, form):
            return redirect("admin:assets_creditpool_change", pool.pk)
        context = {**self.admin_site.each_context(request), "opts": self.opts, "pool": pool}
        context |= {"title": _("Issue credits"), "heading": _("Issue credits")}
        return TemplateResponse(request, "admin/issue_credits.html", context | {"form": form, "media": self.media + form.media})

    def issued(self, request: HttpRequest, pool: CreditPool, form: IssueForm) -> bool:
        """Issue by the act, once per form, and say how many; put what was refused into the form."""
        fields, count = form.fields_of_each(), form.cleaned_data["count"]
        print_of_it = fingerprint("pool", pool.pk, count, *fields.values())
        repeatable = IdempotentRequest(require_operator(request), "issue", form.cleaned_data["key"], print_of_it)
        try:
            done = issue_assets.issue_in_pool(repeatable.user, pool.pk, count=count, request=repeatable, **fields)
        except (Refusal, ValidationError) as error:
            form.add_error(None, error_sentence(error))
            return False
        text = ngettext("%(count)s credit issued in %(pool)s.", "%(count)s credits issued in %(pool)s.", done.count)
        said_so = text % {"count": f"{done.count:,}", "pool": pool}
        again = _("This form was sent before: nothing was issued a second time.") if done.replayed else ""
        messages.success(request, f"{again} {said_so}".strip())
        return True

    @display(description=_("open"), boolean=True)  # type: ignore[untyped-decorator]
    def is_open(self, pool: CreditPool) -> bool:
        """Return whether the pool takes claims."""
        return pool.is_open

    @display(description=_("opens (UTC)"), ordering="opens_at")  # type: ignore[untyped-decorator]
    def opens(self, pool: CreditPool) -> Any:
        """Return from when on claims are taken."""
        return formatting.format_moment_cell(pool.opens_at)

    @display(description=_("closes (UTC)"), ordering="closes_at", empty_value=_("stays open"))  # type: ignore[untyped-decorator]
    def closes(self, pool: CreditPool) -> Any:
        """Return until when."""
        return formatting.format_moment_cell(pool.closes_at)

    @display(description=_("per user"), ordering="per_user_limit", empty_value=_("no limit"))  # type: ignore[untyped-decorator]
    def limit(self, pool: CreditPool) -> int | None:
        """Return how many one user may claim."""
        return pool.per_user_limit

    @display(description=_("available"), ordering="available")  # type: ignore[untyped-decorator]
    def available(self, pool: Any) -> str:
        """Return how many can be claimed now."""
        return f"{pool.available:,}"

    @display(description=_("claimed"), ordering="claimed_now")  # type: ignore[untyped-decorator]
    def claimed(self, pool: Any) -> str:
        """Return how many are owned."""
        return f"{pool.claimed_now:,}"

    @display(description=_("expired"))  # type: ignore[untyped-decorator]
    def expired(self, pool: Any) -> str:
        """Return how many ended unused."""
        return f"{export_rows.expired_unclaimed(pool):,}"
