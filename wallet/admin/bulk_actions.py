"""Bulk actions: a preview of the outcome for each selected row, then one action per row and a summary."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from kernel.refusals import Refusal
from wallet.admin import formatting
from wallet.admin.base import OperatorAdmin, error_sentence, require_operator
from wallet.assets.models import AssetStatus, CashbackAsset

# The request must finish within the web worker's timeout, and its form must fit the largest allowed body.
MAX_ROWS = 500


@dataclass(frozen=True)
class BulkAction:
    """An action for each selected row.

    `action` is called with the row's id, the operator and the values of `form`. `check` is called with the row and raises the
    refusal that the action would raise.
    """

    action: Callable[..., object]
    check: Callable[..., None]
    verb: str | Promise
    done: str | Promise
    warning: str | Promise
    form: type[forms.Form] | None = None
    # Called once for all rows: further values that they share.
    shared: Callable[[], dict[str, Any]] = dict


@dataclass(frozen=True)
class PreviewedRow:
    """A selected row and the reason why the action would refuse it; None when it would not."""

    asset: CashbackAsset
    refusal: str | None

    @property
    def value(self) -> str:
        """Return the row's amount and currency."""
        return formatting.format_money(self.asset.total_value, self.asset.currency)

    @property
    def status(self) -> str:
        """Return the row's current status in words."""
        return AssetStatus(self.asset.current_status).label


def run_bulk_action(
    model_admin: OperatorAdmin, request: HttpRequest, selected: QuerySet[Any], bulk: BulkAction
) -> HttpResponse | None:
    """Show the preview and ask for confirmation, or run the action and report the outcome."""
    actor = require_operator(request)
    ids = list(selected.values_list("pk", flat=True)[: MAX_ROWS + 1])
    if len(ids) > MAX_ROWS:
        text = _("Select at most %(limit)s at once; use the filters to narrow the list. Nothing was changed.")
        messages.error(request, text % {"limit": MAX_ROWS})
        return None
    form = bulk.form(request.POST if "asked" in request.POST else None) if bulk.form else None
    values = form_values(form)
    if request.POST.get("confirmed") != "yes" or values is None:
        return ask_confirmation(model_admin, request, bulk, preview_rows(bulk, selected, values), form)
    arguments = values | bulk.shared()
    report_result(request, str(bulk.done), [refusal_text(bulk.action, pk, actor, **arguments) for pk in ids])
    return None


def form_values(form: forms.Form | None) -> dict[str, Any] | None:
    """Return the values of the form; None until it is valid, {} without a form."""
    if form is None:
        return {}
    return form.changed_values() if form.is_valid() else None  # type: ignore[attr-defined]


def preview_rows(bulk: BulkAction, selected: QuerySet[Any], values: dict[str, Any] | None) -> list[PreviewedRow]:
    """Return the preview of each row, in two queries; without form values no row is checked."""
    check, arguments = (bulk.check, values) if values is not None else (accept_all, {})
    rows = selected.prefetch_related("children")
    return [PreviewedRow(asset, refusal_text(check, asset, **arguments)) for asset in rows]


def accept_all(asset: CashbackAsset) -> None:
    """Accept any row."""


def refusal_text(function: Callable[..., object], *arguments: Any, **options: Any) -> str | None:
    """Call the function; return the message of its refusal, or None when it succeeded."""
    try:
        function(*arguments, **options)
    except (Refusal, ValidationError) as error:
        return error_sentence(error)
    return None


def report_result(request: HttpRequest, done: str, refusals: list[str | None]) -> None:
    """Add messages with the number of rows done, and of those refused by reason."""
    reasons = Counter(reason for reason in refusals if reason)
    count = len(refusals) - reasons.total()
    if count:
        messages.success(request, _("%(credits)s %(done)s.") % {"credits": count_credits(count), "done": done})
    for reason, refused in reasons.most_common():
        text = _("%(count)s not %(done)s: %(reason)s")
        messages.warning(request, text % {"count": refused, "done": done, "reason": reason})


def count_credits(number: int) -> str:
    """Return a number of credits with its noun."""
    return ngettext("%(count)s credit", "%(count)s credits", number) % {"count": number}


def ask_confirmation(
    model_admin: OperatorAdmin, request: HttpRequest, bulk: BulkAction, rows: list[PreviewedRow], form: forms.Form | None
) -> HttpResponse:
    """Show the preview of each row and the confirm button, or the form to fill in first."""
    accepted = [row for row in rows if not row.refusal]
    values = form_values(form)
    ready = values is not None and bool(accepted)
    verb = str(bulk.verb).capitalize()
    button = _("%(verb)s %(credits)s") % {"verb": verb, "credits": count_credits(len(accepted))}
    context = {
        **model_admin.admin_site.each_context(request),
        "title": _("%(verb)s %(credits)s?") % {"verb": verb, "credits": count_credits(len(rows))},
        "button": button if ready else form and _("Preview"),
        "heading": verb,
        "opts": model_admin.opts,
        "bulk": bulk,
        "ids": [row.asset.pk for row in rows],
        "accepted": len(accepted),
        "refused": Counter(row.refusal for row in rows if row.refusal).most_common(),
        "rows": sorted(rows, key=lambda row: bool(row.refusal)),
        "checkbox": ACTION_CHECKBOX_NAME,
        "action": request.POST["action"],
        "form": form,
        "values": values,
        "ready": ready,
        "media": model_admin.media + form.media if form else model_admin.media,
    }
    return TemplateResponse(request, "admin/confirm_action.html", context)
