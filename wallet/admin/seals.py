"""The section of the seals, with the validity of each signature."""

import json
from decimal import Decimal
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from wallet.admin import export_rows, formatting
from wallet.admin.base import ReadOnlyAdmin
from wallet.admin.export import ExportMixin, Report
from wallet.admin.filters import DayFilter
from wallet.ledger import signing
from wallet.ledger.models import Seal


@admin.register(Seal)
class SealAdmin(ExportMixin, ReadOnlyAdmin):
    """Seals, newest first, without their leaves, which are large and needed for proofs only."""

    list_display = ("number", "entries", "amounts", "sealed", "signature_valid")
    list_filter = (("sealed_at", DayFilter),)
    search_fields = ("=seq",)
    search_help_text = _("Number of the seal")
    ordering = ("-seq",)
    report = Report("seals", export_rows.SEAL_COLUMNS, export_rows.seal_line)
    fields = (
        "number",
        "entries",
        "amounts",
        "sealed",
        "signature_valid",
        "root_hex",
        "previous_hex",
        "key_hex",
        "signature_hex",
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Seal]:
        """Return the seals without their leaves, malformed ones included."""
        return Seal.objects.whatever_shape()

    @display(description=_("seal"), ordering="seq")  # type: ignore[untyped-decorator]
    def number(self, seal: Seal) -> str:
        """Return the number of the seal."""
        return f"#{seal.seq}"

    @display(description=_("entries"), ordering="count")  # type: ignore[untyped-decorator]
    def entries(self, seal: Seal) -> Any:
        """Return the number of its entries, with a link to them."""
        url = f"{reverse('admin:ledger_entry_changelist')}?seal={seal.seq}"
        return format_html(formatting.LINK, url, f"{seal.count:,}")

    @display(description=_("amounts"))  # type: ignore[untyped-decorator]
    def amounts(self, seal: Seal) -> str:
        """Return the sums per currency."""
        if not seal.is_well_formed:
            return export_rows.MALFORMED
        return ", ".join(formatting.format_money(Decimal(value), code) for code, value in json.loads(seal.sums).items())

    @display(description=_("sealed (UTC)"), ordering="sealed_at")  # type: ignore[untyped-decorator]
    def sealed(self, seal: Seal) -> Any:
        """Return the time of sealing."""
        return formatting.format_moment_cell(seal.sealed_at) if seal.is_well_formed else export_rows.MALFORMED

    @display(description=_("signature valid"), boolean=True)  # type: ignore[untyped-decorator]
    def signature_valid(self, seal: Seal) -> bool:
        """Return whether a trusted key signed the row as it is now."""
        return seal.is_well_formed and signing.is_signature_valid(seal)

    @display(description=_("root"))  # type: ignore[untyped-decorator]
    def root_hex(self, seal: Seal) -> Any:
        """Return the Merkle root."""
        return formatting.format_digest(seal.root)

    @display(description=_("previous root"))  # type: ignore[untyped-decorator]
    def previous_hex(self, seal: Seal) -> Any:
        """Return the root of the previous seal."""
        return formatting.format_digest(seal.previous_root)

    @display(description=_("public key"))  # type: ignore[untyped-decorator]
    def key_hex(self, seal: Seal) -> Any:
        """Return the key that verifies the signature."""
        return formatting.format_digest(seal.public_key)

    @display(description=_("signature"))  # type: ignore[untyped-decorator]
    def signature_hex(self, seal: Seal) -> Any:
        """Return the signature."""
        return formatting.format_digest(seal.signature)
