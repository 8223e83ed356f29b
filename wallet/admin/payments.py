"""The sections of payments and of lapses, and a payment's page, from which it is released or refunded."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from accounts.services import Service
from kernel.timestamps import format_second
from wallet.admin import export_rows, formatting
from wallet.admin.base import ReadOnlyAdmin, require_operator, require_safe_method
from wallet.admin.export import ExportMixin, Report
from wallet.admin.filters import ChoiceFilter, CurrencyFilter, DayFilter, channel_label, refuse_filter
from wallet.admin.payment_steps import refund_page, release_page
from wallet.ledger.models import Lapse, Payment
from wallet.ledger.payment_state import PaymentState
from wallet.queries import payment_search
from wallet.queries.payment_search import CURRENT_HOLDS, STATES, state_of

STATE_TITLES = {
    PaymentState.HELD: _("Held"),
    PaymentState.PARTLY_CAPTURED: _("Partly captured"),
    PaymentState.CAPTURED: _("Captured"),
    PaymentState.PARTLY_REFUNDED: _("Partly refunded"),
    PaymentState.REFUNDED: _("Refunded"),
    PaymentState.RELEASED: _("Released"),
    PaymentState.EXPIRED: _("Expired"),
}
STATE_LABELS = {
    _("Held"): "info",
    _("Partly captured"): "info",
    _("Captured"): "success",
    _("Expired"): "warning",
    _("Released"): "warning",
}


class PaymentStateFilter(ChoiceFilter):
    """The state of a payment now: an ended hold is over, written down or not."""

    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        """Return the states, and all current holds together."""
        return [(CURRENT_HOLDS, _("Current holds")), *((str(state), title) for state, title in STATE_TITLES.items())]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Keep the payments in the state."""
        if not (chosen := self.value()):
            return queryset
        if chosen not in STATES:
            return refuse_filter(request, queryset, self.title)
        return queryset.filter(STATES[chosen])


class ServiceFilter(ChoiceFilter):
    """The service of a payment."""

    title = _("service")
    parameter_name = "service"
    field = "service"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        """Return the services by name."""
        return [(str(pk), name) for pk, name in Service.objects.order_by("name").values_list("pk", "name")]


@admin.register(Payment)
class PaymentAdmin(ExportMixin, ReadOnlyAdmin):
    """Payments, newest first."""

    report = Report("payments", export_rows.PAYMENT_COLUMNS, export_rows.payment_line)
    list_display = ("reference", "person", "service_name", "value", "state", "held_now", "until", "began")
    list_filter = (PaymentStateFilter, ServiceFilter, CurrencyFilter)
    list_select_related = ("user", "service")
    search_fields = ("reference",)
    search_help_text = _("Beginning of the order's reference, of an email with its @, or a payment's ID")
    ordering = ("-id",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Payment]:
        """Return all payments with the database's time, by which their states are shown."""
        queryset: QuerySet[Payment] = super().get_queryset(request).annotate(now=Now())
        return queryset

    def get_search_results(self, request: HttpRequest, queryset: QuerySet[Any], search_term: str) -> tuple[QuerySet[Any], bool]:
        """Return the matching payments, each found by an index."""
        return (payment_search.search_payments(queryset, search_term) if search_term else queryset), False

    def get_urls(self) -> list[Any]:
        """Add the URLs of release and refund."""
        site = self.admin_site.admin_view
        return [
            path("<uuid:payment_id>/release/", site(release_page), name="ledger_payment_release"),
            path("<uuid:payment_id>/refund/", site(refund_page), name="ledger_payment_refund"),
            *super().get_urls(),
        ]

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Show a payment with its movements and what each credit bears of it."""
        require_operator(require_safe_method(request))
        payment: Any = self.get_object(request, object_id or "")
        if payment is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, str(object_id))  # type: ignore[no-any-return]
        context = {**self.admin_site.each_context(request), "opts": self.opts, **payment_context(payment)}
        return TemplateResponse(request, "admin/payment.html", context)

    @display(description=_("person"))  # type: ignore[untyped-decorator]
    def person(self, payment: Payment) -> Any:
        """Return the person, with a link to their page."""
        return formatting.link_to_owner(payment.user)

    @display(description=_("service"))  # type: ignore[untyped-decorator]
    def service_name(self, payment: Payment) -> str:
        """Return the name of the service."""
        return payment.service.name

    @display(description=_("amount"))  # type: ignore[untyped-decorator]
    def value(self, payment: Payment) -> str:
        """Return the amount that the payment began with."""
        return formatting.format_money(payment.amount, payment.currency)

    @display(description=_("state"), label=STATE_LABELS)  # type: ignore[untyped-decorator]
    def state(self, payment: Any) -> Any:
        """Return the state now."""
        return STATE_TITLES[state_of(payment, payment.now)]

    @display(description=_("held"), empty_value="")  # type: ignore[untyped-decorator]
    def held_now(self, payment: Any) -> str | None:
        """Return what is held now."""
        is_holding = payment.held and payment.held_until > payment.now
        return formatting.format_money(payment.held, payment.currency) if is_holding else None

    @display(description=_("held until (UTC)"), empty_value="")  # type: ignore[untyped-decorator]
    def until(self, payment: Payment) -> Any:
        """Return when the hold ends or ended."""
        return formatting.format_moment_cell(payment.held_until)

    @display(description=_("began (UTC)"), ordering="id")  # type: ignore[untyped-decorator]
    def began(self, payment: Payment) -> Any:
        """Return the time of the hold or spend."""
        return formatting.format_moment_cell(payment.began_at)


def payment_context(payment: Any) -> dict[str, Any]:
    """Return what the page of a payment shows."""
    parts = payment_search.payment_parts(payment.pk)
    names = ("amount", "held", "captured", "released", "refunded")
    money = {name: formatting.format_money(getattr(payment, name), payment.currency) for name in names}
    state = state_of(payment, parts["clock"][0].now)
    return {
        "title": _("Payment"),
        "heading": payment.reference,
        "payment": payment,
        "state": STATE_TITLES[state],
        "money": money,
        "person": formatting.link_to_owner(payment.user),
        "movements": [movement_line(movement) for movement in parts["movements"]],
        "allocations": [allocation_line(part) for part in parts["allocations"]],
        "can_release": payment.held > 0,
        "can_refund": payment.captured > payment.refunded,
    }


def movement_line(movement: Any) -> dict[str, Any]:
    """Return a movement for the page."""
    return {
        **movement._asdict(),
        "kind": movement.kind.capitalize(),
        "amount": formatting.format_money(movement.amount, movement.currency),
        "at": format_second(movement.at),
        "channel": channel_label(movement.channel),
        "who": movement.actor or ("" if movement.channel == "scheduler" else movement.service),
    }


def allocation_line(part: Any) -> dict[str, Any]:
    """Return what one credit bears, for the page."""
    names = ("amount", "held", "captured", "released", "refunded")
    money = {name: formatting.format_money(getattr(part, name), part.currency) for name in names}
    ends = formatting.format_moment_cell(part.spendable_until)
    return money | {"title": part.title, "url": reverse("admin:ledger_entry_change", args=[part.lot_id]), "ends": ends}


@admin.register(Lapse)
class LapseAdmin(ExportMixin, ReadOnlyAdmin):
    """What lapsed: the rest of credits that ended by time, newest first."""

    report = Report("lapses", export_rows.LAPSE_COLUMNS, export_rows.lapse_line)
    list_display = ("ended", "person", "value", "credit")
    list_display_links = None
    list_filter = (CurrencyFilter, ("at", DayFilter))
    list_select_related = ("user", "claim__asset")
    ordering = ("-at", "-id")
    search_fields = ("user__email",)
    search_help_text = _("User's email")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Lapse]:
        """Return the lapses."""
        queryset: QuerySet[Lapse] = super().get_queryset(request).filter(kind="LAPSE")
        return queryset

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Redirect to the page of the claim."""
        require_operator(require_safe_method(request))
        lapse = self.get_object(request, object_id or "")
        if lapse is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, str(object_id))  # type: ignore[no-any-return]
        return redirect("admin:ledger_entry_change", lapse.claim_id)

    @display(description=_("lapsed (UTC)"), ordering="at")  # type: ignore[untyped-decorator]
    def ended(self, lapse: Lapse) -> Any:
        """Return when the credit ended."""
        return formatting.format_moment_cell(lapse.at)

    @display(description=_("person"))  # type: ignore[untyped-decorator]
    def person(self, lapse: Lapse) -> Any:
        """Return the person, with a link to their page."""
        return formatting.link_to_owner(lapse.user)

    @display(description=_("amount"))  # type: ignore[untyped-decorator]
    def value(self, lapse: Lapse) -> str:
        """Return what lapsed."""
        return formatting.format_money(lapse.amount, lapse.currency)

    @display(description=_("credit"))  # type: ignore[untyped-decorator]
    def credit(self, lapse: Lapse) -> Any:
        """Return the credit, with a link to its claim."""
        assert lapse.claim
        return formatting.link_titled(lapse.claim, lapse.claim.asset.title)
