"""The room of the ledger: everybody looks, nobody touches."""

from typing import Any

from django.contrib import admin
from unfold.decorators import display

from wallet import reports
from wallet.admin import cells
from wallet.admin.base import ReadOnlyAdmin
from wallet.admin.exporting import Exportable, Report
from wallet.admin.filters import CurrencyFilter, DayFilter, EntryPoolFilter, SealFilter
from wallet.admin.searching import ById
from wallet.ledger.models import Entry, Seal


@admin.register(Entry)
class EntryAdmin(ById, Exportable, ReadOnlyAdmin):
    """The entries, newest first."""

    list_display = ("claimed", "value", "user_link", "asset_link", "pool")
    list_filter = (CurrencyFilter, ("claimed_at", DayFilter), EntryPoolFilter, SealFilter)
    list_select_related = ("user", "actor", "asset__pool")
    report = Report("ledger", reports.ENTRY_COLUMNS, reports.entry_row)
    search_fields = ("user__email", "asset__title")
    search_help_text = "User's email, credit's title, or an id of entry or credit"
    id_fields = ("pk", "asset")
    ordering = ("-claimed_at", "-id")
    fields = ("id", "kind", "value", "user_link", "asset_link", "pool", "claimed_at", "seal", "actor", "request_key", "xid")

    @display(description="claimed (UTC)", ordering="claimed_at")  # type: ignore[untyped-decorator]
    def claimed(self, entry: Entry) -> Any:
        """Return the instant that PostgreSQL decided."""
        return cells.moment(entry.claimed_at)

    @display(description="amount", ordering="amount")  # type: ignore[untyped-decorator]
    def value(self, entry: Entry) -> str:
        """Return the amount and its currency."""
        return cells.money(entry.amount, entry.currency)

    @display(description="user", ordering="user__email")  # type: ignore[untyped-decorator]
    def user_link(self, entry: Entry) -> Any:
        """Return the user, with a link to all that they own: their own page is for superusers."""
        return cells.owner(entry.user)

    @display(description="credit", ordering="asset__title")  # type: ignore[untyped-decorator]
    def asset_link(self, entry: Entry) -> Any:
        """Return a link to the credit."""
        return cells.link(entry.asset)

    @display(ordering="asset__pool__name")  # type: ignore[untyped-decorator]
    def pool(self, entry: Entry) -> Any:
        """Return a link to the credit's pool."""
        return cells.link(entry.asset.pool)

    @display(description="seal")  # type: ignore[untyped-decorator]
    def seal(self, entry: Entry) -> Any:
        """Return a link to the seal that covers the entry."""
        found = Seal.objects.defer("leaves").filter(from_xid__lte=entry.xid, to_xid__gt=entry.xid).first()
        return cells.link(found) or "not sealed yet: wait a few seconds"
