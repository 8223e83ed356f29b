"""The section of the services that take payments, read-only."""

from typing import Any

from django.contrib import admin
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from accounts.services import Service
from wallet.admin import formatting
from wallet.admin.base import ReadOnlyAdmin


@admin.register(Service)
class ServiceAdmin(ReadOnlyAdmin):
    """Services by name."""

    list_display = ("name", "is_active", "since", "payments")
    list_filter = ("is_active",)
    search_fields = ("name",)
    search_help_text = _("Name")
    ordering = ("name",)
    fields = ("name", "is_active", "since", "payments")

    @display(description=_("since (UTC)"), ordering="created_at")  # type: ignore[untyped-decorator]
    def since(self, service: Service) -> Any:
        """Return when the service was added."""
        return formatting.format_moment_cell(service.created_at)

    @display(description=_("payments"))  # type: ignore[untyped-decorator]
    def payments(self, service: Service) -> Any:
        """Return a link to the service's payments."""
        url = f"{reverse('admin:ledger_payment_changelist')}?service={service.pk}"
        return format_html(formatting.LINK, url, _("Show payments"))
