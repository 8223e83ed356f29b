"""One act for each of the chosen rows: asked first, then done row by row, and counted."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from accounts.models import User
from accounts.refusals import Refusal
from wallet.admin.base import OperatorAdmin, operator, said

# A request must end within a web worker's time, and its form within the largest body that is read.
MOST_AT_ONCE = 500


@dataclass(frozen=True)
class Bulk:
    """What is done to each row: the act, called with its id and the operator; its name and its past; what to know before."""

    act: Callable[[UUID, User], object]
    verb: str
    done: str
    warning: str


def each(room: OperatorAdmin, request: HttpRequest, chosen: QuerySet[Any], bulk: Bulk) -> HttpResponse | None:
    """Ask whether to do it, or do it and report how many were done and why others were refused."""
    actor = operator(request)
    ids = list(chosen.values_list("pk", flat=True)[: MOST_AT_ONCE + 1])
    if len(ids) > MOST_AT_ONCE:
        messages.error(request, f"Choose at most {MOST_AT_ONCE} at once: narrow the list by its filters. Nothing was changed.")
    elif request.POST.get("confirmed") != "yes":
        return ask(room, request, ids, bulk)
    else:
        report(request, bulk.done, [refusal_of(bulk, pk, actor) for pk in ids])
    return None


def refusal_of(bulk: Bulk, pk: UUID, actor: User) -> str | None:
    """Call the act; return None when it was done, else why not."""
    try:
        bulk.act(pk, actor)
    except (Refusal, ValidationError) as error:
        return said(error)
    return None


def report(request: HttpRequest, done: str, refusals: list[str | None]) -> None:
    """Say how many were done, and how many were refused for which reason."""
    reasons = Counter(reason for reason in refusals if reason)
    count = len(refusals) - reasons.total()
    if count:
        messages.success(request, f"{count} {'credit' if count == 1 else 'credits'} {done}.")
    for reason, refused in reasons.most_common():
        messages.warning(request, f"{refused} not {done}: {reason}")


def ask(room: OperatorAdmin, request: HttpRequest, ids: list[UUID], bulk: Bulk) -> HttpResponse:
    """Show what would be done to how many, with a button that does it."""
    context = {
        **room.admin_site.each_context(request),
        "title": f"{bulk.verb.capitalize()} {len(ids)} {'credit' if len(ids) == 1 else 'credits'}?",
        "opts": room.opts,
        "ids": ids,
        "checkbox": ACTION_CHECKBOX_NAME,
        "action": request.POST["action"],
        "warning": bulk.warning,
    }
    return TemplateResponse(request, "admin/confirm_act.html", context)
