"""The form that creates the pools that an imported file names, and the template of such a file."""

from collections.abc import Callable, Sequence
from io import BytesIO
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget, UnfoldBooleanWidget
from xlsxwriter import Workbook

from wallet.actions.import_csv import COLUMNS
from wallet.actions.import_mistakes import MissingPool
from wallet.admin.base import require_operator, require_safe_method
from wallet.admin.export import XLSX_CONTENT_TYPE
from wallet.admin.form_fields import CurrencyField
from wallet.assets.models import CreditPool, PoolKind, check_time_zone
from wallet.money import check_currency

TEMPLATE_ROW = ("Diwali cashback", "250.00", "INR", "", "2027-03-31")


class MissingPoolsForm(forms.Form):
    """Asks which of the missing pools to create, with their kinds and currencies."""

    time_zone = forms.CharField(
        label=_("Time zone of the new pools"),
        max_length=64,
        initial="UTC",
        widget=UnfoldAdminTextInputWidget,
        validators=[check_time_zone],
        help_text=_("Time zone used for end-of-day expiry, e.g. Asia/Kolkata."),
    )

    def __init__(self, data: Any = None, *, missing_pools: Sequence[MissingPool]) -> None:
        super().__init__(data)
        self.missing_pools = missing_pools
        usual = most_common_currency(missing_pools)
        for number, pool in enumerate(missing_pools):
            currency = most_common_currency([pool]) or usual
            self.fields[f"create_{number}"] = forms.BooleanField(
                label=pool.name, required=False, initial=True, widget=UnfoldBooleanWidget
            )
            self.fields[f"kind_{number}"] = forms.ChoiceField(
                label=_("Kind"), choices=PoolKind.choices, initial=PoolKind.PROMOTION, widget=UnfoldAdminSelectWidget
            )
            self.fields[f"currency_{number}"] = CurrencyField(label=_("Currency"), required=False, initial=currency)

    def clean(self) -> dict[str, Any]:
        """Require a currency for each pool to create."""
        cleaned = super().clean() or {}
        for number in range(len(self.missing_pools)):
            name = f"currency_{number}"
            if cleaned.get(f"create_{number}") and name not in self.errors:
                try:
                    check_currency(cleaned.get(name) or "")
                except ValidationError as error:
                    self.add_error(name, error)
        return cleaned

    def rows(self) -> list[dict[str, Any]]:
        """Return the fields of each pool, for the template."""
        return [
            {
                "pool": pool,
                "create": self[f"create_{number}"],
                "kind": self[f"kind_{number}"],
                "currency": self[f"currency_{number}"],
            }
            for number, pool in enumerate(self.missing_pools)
        ]

    def pools(self) -> list[CreditPool]:
        """Return the unsaved pools to create."""
        values = self.cleaned_data
        return [
            CreditPool(
                name=pool.name,
                kind=values[f"kind_{number}"],
                currency=values[f"currency_{number}"],
                time_zone=values["time_zone"],
            )
            for number, pool in enumerate(self.missing_pools)
            if values[f"create_{number}"]
        ]


def most_common_currency(pools: Sequence[MissingPool]) -> str:
    """Return the currency that most lines of these pools name; empty if none does."""
    counted = sum((pool.currencies for pool in pools), start=type(pools[0].currencies)()) if pools else None
    return counted.most_common(1)[0][0] if counted else ""


def template_file(request: HttpRequest, file_format: str) -> HttpResponse:
    """Send an import file with the column names and one example row."""
    require_operator(require_safe_method(request))
    if file_format not in TEMPLATES:
        raise Http404
    content_type, write = TEMPLATES[file_format]
    headers = {"Content-Disposition": f'attachment; filename="credits-template.{file_format}"'}
    return HttpResponse(write(), content_type=content_type, headers=headers)


def csv_template() -> bytes:
    """Return the template as CSV with a byte order mark, so that spreadsheet programs read it as UTF-8."""
    return "\r\n".join([",".join(COLUMNS), ",".join(TEMPLATE_ROW), ""]).encode("utf-8-sig")


def xlsx_template() -> bytes:
    """Return the template as a workbook. Every column is text, so that no amount or date is changed by the program."""
    content = BytesIO()
    with Workbook(content, {"in_memory": True}) as book:
        sheet, bold, text = book.add_worksheet("credits"), book.add_format({"bold": True}), book.add_format({"num_format": "@"})
        sheet.set_column(0, len(COLUMNS) - 1, 22, text)
        for column, (name, example) in enumerate(zip(COLUMNS, TEMPLATE_ROW, strict=True)):
            sheet.write_string(0, column, name, bold)
            sheet.write_string(1, column, example, text)
    return content.getvalue()


TEMPLATES: dict[str, tuple[str, Callable[[], bytes]]] = {
    "csv": ("text/csv; charset=utf-8", csv_template),
    "xlsx": (XLSX_CONTENT_TYPE, xlsx_template),
}
