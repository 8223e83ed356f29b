"""A person's wallet as of any time, for support: balances, what is left of each credit, and the movements up to then."""

from typing import Any
from uuid import UUID

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext as _

from accounts import audit
from accounts.expensive_reads import SEARCH, expensive_read_view
from accounts.models import User
from kernel.timestamps import format_second, format_timestamp
from wallet.admin import formatting
from wallet.admin.as_of_form import as_of_form
from wallet.admin.base import require_operator, require_safe_method
from wallet.queries import wallet_at
from wallet.queries.as_of import AsOf
from wallet.queries.wallet_balances import wallet_balances

AMOUNTS = ("balance", "available", "held", "pending", "ending_soon")


@expensive_read_view(SEARCH)
def wallet_page(request: HttpRequest, user_id: UUID) -> HttpResponse:
    """Show the wallet of a person to an operator."""
    actor = require_operator(require_safe_method(request))
    person = get_object_or_404(User, pk=user_id)
    audit.record_event("person_view", "done", actor, person=str(person.pk))
    form, as_of = as_of_form(request)
    context = {
        **admin.site.each_context(request),
        "title": _("Wallet"),
        "heading": person.email,
        "person": person,
        "form": form,
    }
    context |= wallet_context(person, as_of) if as_of else {}
    return TemplateResponse(request, "admin/wallet.html", context, status=200 if as_of else 400)


def wallet_context(person: User, as_of: AsOf) -> dict[str, Any]:
    """Return what the page shows of a time."""
    wallet = wallet_at.wallet_at(person.pk, as_of)
    return {
        "at": format_second(as_of.at),
        "as_of": format_timestamp(as_of.at),
        "balances": [balance_line(line) for line in wallet_balances(person.pk, as_of.at)],
        "lots": [lot_line(lot) for lot in wallet["lots"][: wallet_at.SHOWN]],
        "movements": [movement_line(movement) for movement in wallet["movements"][: wallet_at.SHOWN]],
        "shown": wallet_at.SHOWN,
        "more": {part: len(rows) > wallet_at.SHOWN for part, rows in wallet.items()},
    }


def balance_line(line: dict[str, Any]) -> dict[str, Any]:
    """Return the balances of one currency for the page."""
    return line | {name: formatting.format_money(line[name], line["currency"]) for name in AMOUNTS}


def lot_line(lot: Any) -> dict[str, Any]:
    """Return what one credit had, for the page."""
    return {
        "title": lot.title,
        "url": reverse("admin:ledger_entry_change", args=[lot.entry_id]),
        **{name: formatting.format_money(getattr(lot, name), lot.currency) for name in ("spendable", "held", "total")},
        "from": formatting.format_moment_cell(lot.spendable_from),
        "ends": formatting.format_moment_cell(lot.spendable_until),
    }


def movement_line(movement: Any) -> dict[str, Any]:
    """Return one movement for the page, with a link to its payment or claim."""
    name, key = ("payment", movement.payment_id) if movement.payment_id else ("entry", movement.claim_id)
    return {
        "at": format_second(movement.at),
        "kind": movement.kind.capitalize(),
        "amount": formatting.format_money(movement.amount, movement.currency),
        "url": reverse(f"admin:ledger_{name}_change", args=[key]),
        "what": movement.reference or movement.reason or (_("payment") if movement.payment_id else _("claim")),
        "who": movement.actor or movement.service or "",
    }
