"""One act for each of the chosen rows: what would come of it is shown first, then it is done row by row, and counted."""

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
from wallet.assets.models import CashbackAsset

# A request must end within a web worker's time, and its form within the largest body that is read.
MAX_ROWS = 500


@dataclass(frozen=True)
class BulkAction:
    """What is done to each row.

    `act` is called with its id, the operator and what `form` asks for; `check` raises what the act would refuse a row for.
    """

    act: Callable[..., object]
    check: Callable[..., None]
    verb: str | Promise
    done: str | Promise
    warning: str | Promise
    form: type[forms.Form] | None = None


@dataclass(frozen=True)
class PreviewedRow:
    """A chosen row, and why the act would refuse it; None when it would not."""

    asset: CashbackAsset
    refusal: str | None

    @property
    def value(self) -> str:
        """Return the row's amount and currency."""
        return formatting.format_money(self.asset.total_value, self.asset.currency)


def run_bulk_action(room: OperatorAdmin, request: HttpRequest, chosen: QuerySet[Any], bulk: BulkAction) -> HttpResponse | None:
    """Show what would be done and ask, or do it and report how many were done and why others were refused."""
    actor = require_operator(request)
    ids = list(chosen.values_list("pk", flat=True)[: MAX_ROWS + 1])
    if len(ids) > MAX_ROWS:
        text = _("Choose at most %(most)s at once: narrow the list by its filters. Nothing was changed.")
        messages.error(request, text % {"most": MAX_ROWS})
        return None
    form = bulk.form(request.POST if "asked" in request.POST else None) if bulk.form else None
    given = cleaned_answers(form)
    if request.POST.get("confirmed") != "yes" or given is None:
        return ask_confirmation(room, request, bulk, preview_rows(bulk, chosen, given), form)
    report_result(request, str(bulk.done), [refusal_text(bulk.act, pk, actor, **given) for pk in ids])
    return None


def cleaned_answers(form: forms.Form | None) -> dict[str, Any] | None:
    """Return what the form asks for; None as long as it is not answered."""
    if form is None:
        return {}
    return form.asked() if form.is_valid() else None  # type: ignore[attr-defined]


def preview_rows(bulk: BulkAction, chosen: QuerySet[Any], given: dict[str, Any] | None) -> list[PreviewedRow]:
    """Return what would come of each row, in two queries; without answers, none is judged by them."""
    check, known = (bulk.check, given) if given is not None else (accept_all, {})
    rows = chosen.prefetch_related("children")
    return [PreviewedRow(asset, refusal_text(check, asset, **known)) for asset in rows]


def accept_all(asset: CashbackAsset) -> None:
    """Refuse nothing."""


def refusal_text(act: Callable[..., object], *arguments: Any, **given: Any) -> str | None:
    """Call the act; return None when it was done, else why not."""
    try:
        act(*arguments, **given)
    except (Refusal, ValidationError) as error:
        return error_sentence(error)
    return None


def report_result(request: HttpRequest, done: str, refusals: list[str | None]) -> None:
    """Say how many were done, and how many were refused for which reason."""
    reasons = Counter(reason for reason in refusals if reason)
    count = len(refusals) - reasons.total()
    if count:
        messages.success(request, _("%(credits)s %(done)s.") % {"credits": count_credits(count), "done": done})
    for reason, refused in reasons.most_common():
        text = _("%(count)s not %(done)s: %(reason)s")
        messages.warning(request, text % {"count": refused, "done": done, "reason": reason})


def count_credits(number: int) -> str:
    """Return a number of credits in words."""
    return ngettext("%(count)s credit", "%(count)s credits", number) % {"count": number}


def ask_confirmation(
    room: OperatorAdmin, request: HttpRequest, bulk: BulkAction, rows: list[PreviewedRow], form: forms.Form | None
) -> HttpResponse:
    """Show each row with what would come of it, with a button that does it; with a form to be answered before."""
    willing = [row for row in rows if not row.refusal]
    given = cleaned_answers(form)
    ready = given is not None and bool(willing)
    verb = str(bulk.verb).capitalize()
    button = _("%(verb)s %(credits)s") % {"verb": verb, "credits": count_credits(len(willing))}
    context = {
        **room.admin_site.each_context(request),
        "title": _("%(verb)s %(credits)s?") % {"verb": verb, "credits": count_credits(len(rows))},
        "button": button if ready else form and _("Show what would happen"),
        "heading": verb,
        "opts": room.opts,
        "bulk": bulk,
        "ids": [row.asset.pk for row in rows],
        "willing": len(willing),
        "refused": Counter(row.refusal for row in rows if row.refusal).most_common(),
        "rows": sorted(rows, key=lambda row: bool(row.refusal)),
        "checkbox": ACTION_CHECKBOX_NAME,
        "action": request.POST["action"],
        "form": form,
        "given": given,
        "ready": ready,
        "media": room.media + form.media if form else room.media,
    }
    return TemplateResponse(request, "admin/confirm_act.html", context)
