"""Bulk actions: a preview of the outcome for each selected row, then one action per row and a summary.

What was confirmed is what is done: the confirmation carries a digest of the preview. If the preview would be another one by
then, nothing is done and the new one is shown.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
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

from accounts.models import User
from kernel.refusals import Refusal
from kernel.versions import as_text, require_version, version_of
from wallet.actions.approvals import AwaitsApproval
from wallet.actions.edit_asset import EDITABLE_FIELDS
from wallet.admin import formatting
from wallet.admin.base import OperatorAdmin, error_sentence, require_operator
from wallet.assets.models import AssetStatus, CashbackAsset

SHOWN = (*EDITABLE_FIELDS, "status", "claimed_by")  # the columns of a row that the preview shows
# The request must finish within the web worker's timeout, and its form must fit the largest allowed body.
MAX_ROWS = 500


@dataclass(frozen=True)
class BulkAction:
    """An action for each selected row.

    `action` is called with the row's id, the operator, a precondition and the row's arguments. `check` is called with the row
    and its arguments and raises the refusal that the action would raise.

    arguments: returns each row's arguments by its id, from the rows and the values of `form`. Default: the values.
    end: returns the expiry that the row will get from its arguments.
    asks_first: whether the form must be filled in before anything can be previewed.
    """

    action: Callable[..., object]
    check: Callable[..., None]
    verb: str | Promise
    done: str | Promise
    warning: str | Promise
    form: type[forms.Form] | None = None
    # Called once for all rows: further values that the action gets for each.
    shared: Callable[[], dict[str, Any]] = dict
    arguments: Callable[[Sequence[CashbackAsset], dict[str, Any]], dict[Any, dict[str, Any]]] | None = None
    end: Callable[..., datetime | None] | None = None
    asks_first: bool = True


@dataclass(frozen=True)
class PreviewedRow:
    """A selected row, its arguments, and the reason why the action would refuse it; None when it would not.

    `end` is the expiry that the row will get, if the action gives one.
    """

    asset: CashbackAsset
    refusal: str | None
    arguments: dict[str, Any]
    end: datetime | None = None

    @property
    def version(self) -> str:
        """Return the version of everything that the preview shows of the row."""
        return version_of(self.asset, SHOWN)

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
    form = bound_form(bulk, request)
    values = form_values(form)
    rows = preview_rows(bulk, selected, values)
    shown = digest_of(rows, request.POST.get("action"))
    confirmed = values is not None and request.POST.get("confirmed") == "yes" and "preview" not in request.POST
    if confirmed and request.POST.get("shown", shown) != shown:
        messages.warning(request, _("Something changed after this preview, so nothing was done. Check the new preview."))
        confirmed = False
    if not confirmed:
        return ask_confirmation(model_admin, request, bulk, rows, form)
    shared = bulk.shared()
    report_result(request, str(bulk.done), [run_row(bulk, row, actor, shared) for row in rows])
    return None


def bound_form(bulk: BulkAction, request: HttpRequest) -> forms.Form | None:
    """Return the action's form with what was entered; None without one."""
    if bulk.form is None:
        return None
    return bulk.form(request.POST if "asked" in request.POST or not bulk.asks_first else None)


def form_values(form: forms.Form | None) -> dict[str, Any] | None:
    """Return the values of the form; None until it is valid, {} without a form."""
    if form is None:
        return {}
    return form.changed_values() if form.is_valid() else None  # type: ignore[attr-defined]


def preview_rows(bulk: BulkAction, selected: QuerySet[Any], values: dict[str, Any] | None) -> list[PreviewedRow]:
    """Return the preview of each row, in two queries; without form values no row is checked."""
    assets = list(selected.prefetch_related("children"))
    if values is None:
        return [PreviewedRow(asset, None, {}) for asset in assets]
    by_id = bulk.arguments(assets, values) if bulk.arguments else {}
    return [preview_row(bulk, asset, by_id.get(asset.pk, values)) for asset in assets]


def preview_row(bulk: BulkAction, asset: CashbackAsset, arguments: dict[str, Any]) -> PreviewedRow:
    """Return the preview of one row."""
    refusal = refusal_text(bulk.check, asset, **arguments)
    end = bulk.end(asset, **arguments) if bulk.end and not refusal else None
    return PreviewedRow(asset, refusal, arguments, end)


def digest_of(rows: list[PreviewedRow], action: str | None) -> str:
    """Return a digest of what a preview shows: the rows, and what will become of each."""
    shown = sorted((row.version, row.refusal or "", as_text(row.end)) for row in rows)
    return hashlib.sha256(json.dumps([action, shown]).encode()).hexdigest()


def run_row(bulk: BulkAction, row: PreviewedRow, actor: User, shared: dict[str, Any]) -> str | None:
    """Run the action on a row, provided that it is as in the preview; return the message of a refusal, or None."""
    precondition = require_version(row.version, SHOWN)
    return refusal_text(bulk.action, row.asset.pk, actor, precondition=precondition, **row.arguments, **shared)


def refusal_text(function: Callable[..., object], *arguments: Any, **options: Any) -> str | None:
    """Call the function; return the message of its refusal, or that it waits, or None when it succeeded."""
    try:
        function(*arguments, **options)
    except AwaitsApproval as waiting:
        return waiting.message
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
        "gives_end": bulk.end is not None,  # a template would call the function itself
        "shown": digest_of(rows, request.POST["action"]),
        "media": model_admin.media + form.media if form else model_admin.media,
    }
    return TemplateResponse(request, "admin/confirm_action.html", context)
