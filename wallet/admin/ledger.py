"""The section of the ledger, read-only for everyone."""

from typing import Any
from uuid import UUID

from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.html import format_html_join
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display

from wallet.admin import formatting
from wallet.admin.base import ReadOnlyAdmin
from wallet.admin.export import ExportMixin, Report
from wallet.admin.filters import CurrencyFilter, DayFilter, EntryPoolFilter, SealFilter
from wallet.admin.payment_steps import clawback_page, extend_page
from wallet.admin.search import SearchByIdMixin
from wallet.ledger.models import Entry, Lot, Seal
from wallet.queries import reports
from wallet.queries.proposals import decisions_of_claim


@admin.register(Entry)
class EntryAdmin(SearchByIdMixin, ExportMixin, ReadOnlyAdmin):
    """Ledger entries, newest first."""

    list_display = ("claimed", "value", "user_link", "asset_link", "pool")
    list_filter = (CurrencyFilter, ("claimed_at", DayFilter), EntryPoolFilter, SealFilter)
    list_select_related = ("user", "actor", "asset__pool")
    report = Report("ledger", reports.ENTRY_COLUMNS, reports.entry_row)
    search_fields = ("user__email", "asset__title")
    search_help_text = _("User's email, credit's title, or an ID of entry or credit")
    id_fields = ("pk", "asset")
    ordering = ("-claimed_at", "-id")
    actions_detail = ("clawback", "extend")
    fields = (
        "entry",
        "kind",
        "value",
        "left",
        "ends",
        "user_link",
        "asset_link",
        "pool",
        "claimed",
        "seal",
        "requested_by",
        "approved_by",
        "idempotency_key",
        "transaction_id",
    )

    @action(description=_("Claw back"), url_path="clawback", icon="undo")  # type: ignore[untyped-decorator]
    def clawback(self, request: HttpRequest, object_id: UUID | str) -> HttpResponse:
        """Claw back the claimed credit."""
        return clawback_page(request, claim_id(object_id))

    @action(description=_("Extend"), url_path="extend", icon="update")  # type: ignore[untyped-decorator]
    def extend(self, request: HttpRequest, object_id: UUID | str) -> HttpResponse:
        """Extend the claimed credit."""
        return extend_page(request, claim_id(object_id))

    @display(description=_("left to spend"))  # type: ignore[untyped-decorator]
    def left(self, entry: Entry) -> str | None:
        """Return what of the claim is available and what is held; None for a claim that has no lot yet."""
        if (lot := Lot.objects.filter(pk=entry.pk).first()) is None:
            return None
        figures = {name: formatting.format_money(getattr(lot, name), lot.currency) for name in ("available", "held")}
        return _("%(available)s available, %(held)s held") % figures

    @display(description=_("ends (UTC)"), empty_value=_("never"))  # type: ignore[untyped-decorator]
    def ends(self, entry: Entry) -> Any:
        """Return until when the claimed credit can be spent."""
        lot = Lot.objects.filter(pk=entry.pk).first()
        return formatting.format_moment_cell(lot.spendable_until) if lot else None

    @display(description=_("entry"))  # type: ignore[untyped-decorator]
    def entry(self, entry: Entry) -> str:
        """Return the id of the entry."""
        return str(entry.pk)

    @display(description=_("requested by"))  # type: ignore[untyped-decorator]
    def requested_by(self, entry: Entry) -> str:
        """Return the email of the actor who made the claim."""
        return entry.actor.email

    @display(description=_("approved by"), empty_value=_("no second operator needed"))  # type: ignore[untyped-decorator]
    def approved_by(self, entry: Entry) -> Any:
        """Return who approved its grant, clawbacks and extensions, with links to the proposals."""
        lines = [
            (formatting.link_titled(each, each.get_kind_display()), each.decided_by) for each in decisions_of_claim(entry.pk)
        ]
        return format_html_join(", ", "{}: {}", lines) or None

    @display(description=_("idempotency key"))  # type: ignore[untyped-decorator]
    def idempotency_key(self, entry: Entry) -> str | None:
        """Return the key that the request named, if any."""
        return entry.request_key

    @display(description=_("transaction ID"))  # type: ignore[untyped-decorator]
    def transaction_id(self, entry: Entry) -> str:
        """Return PostgreSQL's id of the transaction, by which entries are sealed."""
        return str(entry.xid)

    @display(description=_("claimed (UTC)"), ordering="claimed_at")  # type: ignore[untyped-decorator]
    def claimed(self, entry: Entry) -> Any:
        """Return the time of the claim, by the database clock."""
        return formatting.format_moment_cell(entry.claimed_at)

    @display(description=_("amount"), ordering="amount")  # type: ignore[untyped-decorator]
    def value(self, entry: Entry) -> str:
        """Return the amount and its currency."""
        return formatting.format_money(entry.amount, entry.currency)

    @display(description=_("user"), ordering="user__email")  # type: ignore[untyped-decorator]
    def user_link(self, entry: Entry) -> Any:
        """Return the user, with a link to their credits, as the page of the user is for superusers."""
        return formatting.link_to_owner(entry.user)

    @display(description=_("credit"), ordering="asset__title")  # type: ignore[untyped-decorator]
    def asset_link(self, entry: Entry) -> Any:
        """Return a link to the credit."""
        return formatting.link_to(entry.asset)

    @display(description=_("pool"), ordering="asset__pool__name")  # type: ignore[untyped-decorator]
    def pool(self, entry: Entry) -> Any:
        """Return a link to the credit's pool."""
        return formatting.link_to(entry.asset.pool)

    @display(description=_("seal"))  # type: ignore[untyped-decorator]
    def seal(self, entry: Entry) -> Any:
        """Return a link to the seal that covers the entry."""
        covering_seal = Seal.objects.covering(entry.xid).only("seq").first()
        return formatting.link_to(covering_seal) or _("not sealed yet; this takes a few seconds")


def claim_id(text: UUID | str) -> UUID:
    """Return the id in a URL; raise Http404 for anything else."""
    try:
        return UUID(str(text))
    except ValueError as error:
        raise Http404 from error
