"""One person's page for support, read-only, and the search for a person. Both leave a line in the audit log."""

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext_lazy as _

from accounts import audit
from accounts.email_addresses import normal_email
from accounts.models import User
from wallet.admin import formatting
from wallet.admin.base import require_operator, require_safe_method
from wallet.admin.sidebar import is_superuser
from wallet.assets.models import CreditPool
from wallet.ledger.models import Entry
from wallet.notices.models import Notice
from wallet.queries import person
from wallet.queries.explain_claim import explain_pool_claim
from wallet.queries.notices import notices_of
from wallet.queries.wallet_balances import wallet_balances


class SearchForm(forms.Form):
    """Asks for the beginning of an email, or an id."""

    q = forms.CharField(required=False, max_length=254, widget=forms.TextInput(attrs={"type": "search"}))


def search_page(request: HttpRequest) -> HttpResponse:
    """Show the people whose email begins with the text; lead to the person whose email or id it is."""
    actor = require_operator(require_safe_method(request))
    form = SearchForm(request.GET)
    text = form.cleaned_data["q"] if form.is_valid() else ""
    found = person.find_people(text)
    if text:
        audit.record_event("person_search", "done", actor, email=audit.email_digest(text))
    if found and (len(found) == 1 or found[0].email == normal_email(text)):
        return redirect("customer", found[0].pk)
    context = {
        **admin.site.each_context(request),
        "title": _("Find a customer"),
        "form": form,
        "text": text,
        "found": found[: person.FOUND],
        "more": len(found) > person.FOUND,
    }
    return TemplateResponse(request, "admin/person_search.html", context)


def person_page(request: HttpRequest, user_id: UUID) -> HttpResponse:
    """Show everything of one person to an operator."""
    actor = require_operator(require_safe_method(request))
    user = get_object_or_404(User, pk=user_id)
    audit.record_event("person_view", "done", actor, person=str(user.pk))
    return TemplateResponse(request, "admin/person.html", person_context(request, user))


def person_context(request: HttpRequest, user: User) -> dict[str, Any]:
    """Return the parts of the page, each with its latest rows and a link to the whole list."""
    credits, claims = person.latest_credits(user), person.latest_claims(user)
    return {
        **admin.site.each_context(request),
        "title": _("Customer"),
        "heading": user.email,
        "person": user,
        "balances": [balance_line(line) for line in wallet_balances(user.pk)],
        "credits": [credit_line(credit) for credit in credits[: person.SHOWN]],
        "claims": [claim_line(entry) for entry in claims[: person.SHOWN]],
        "limits": person.limits_reached(user),
        "sign_ins": person.latest_sign_ins(user),
        "changes": person.latest_changes(user),
        "notices": [notice_line(notice) for notice in notices_of(user)[: person.SHOWN]],
        "lists": lists_of(user),
        "can_edit": is_superuser(request),
        "shown": person.SHOWN,
        **claim_explanation(request, user),
    }


class ClaimPoolForm(forms.Form):
    """Asks from which pool the person wants to claim."""

    pool = forms.ModelChoiceField(
        CreditPool.objects.not_archived().order_by("name"), required=False, empty_label=_("Choose a pool")
    )


def claim_explanation(request: HttpRequest, user: User) -> dict[str, Any]:
    """Return the form that asks for a pool, and for a chosen one whether the person can claim from it, and why."""
    form = ClaimPoolForm(request.GET)
    pool = form.cleaned_data["pool"] if form.is_valid() else None
    explanation = explain_pool_claim(pool, user) if pool else None
    rules = [explained_rule(rule) for rule in explanation["rules"]] if explanation else []
    return {"pool_form": form, "explanation": explanation, "rules": rules}


RULES = {
    "account_active": _("The account is active"),
    "email_verified": _("The email is verified"),
    "pool_active": _("The pool is active"),
    "open_to_claims": _("Users may claim from the pool"),
    "pool_window": _("The pool is open now"),
    "credits_left": _("A credit is left"),
    "per_user_limit": _("The limit per user is not reached"),
    "spendable": _("The credit can be spent before it ends"),
}


def explained_rule(rule: dict[str, Any]) -> dict[str, Any]:
    """Return one rule for the page."""
    figures = ", ".join(f"{name}: {value}" for name, value in rule["figures"].items() if value is not None)
    return {"title": RULES[rule["rule"]], "allows": rule["allows"], "figures": figures}


def lists_of(user: User) -> dict[str, str]:
    """Return the URLs of the lists, searched for the person's email."""
    lists = {
        "credits": "ledger_claimedasset_changelist",
        "claims": "ledger_entry_changelist",
        "payments": "ledger_payment_changelist",
        "changes_made": "assets_cashbackassetevent_changelist",
        "issued": "assets_issuance_changelist",
    }
    return {part: f"{reverse(f'admin:{name}')}?{urlencode({'q': user.email})}" for part, name in lists.items()}


def balance_line(line: dict[str, Any]) -> dict[str, Any]:
    """Return one balance for the page."""
    money = {
        name: formatting.format_money(line[name], line["currency"]) for name in ("balance", "available", "held", "pending")
    }
    return line | money | {"value": money["balance"]}


def credit_line(credit: Any) -> dict[str, Any]:
    """Return one owned credit for the page."""
    return {
        "credit": formatting.link_to(credit),
        "value": formatting.format_money(credit.total_value, credit.currency),
        "pool": formatting.link_to(credit.pool),
        "claimed": formatting.format_moment_cell(credit.claimed_at),
        "expires": formatting.format_moment_cell(credit.expires_at),
    }


def claim_line(entry: Entry) -> dict[str, Any]:
    """Return one claim for the page."""
    return {
        "entry": entry.pk,
        "title": entry.asset.title,
        "value": formatting.format_money(entry.amount, entry.currency),
        "claimed": formatting.format_moment_cell(entry.claimed_at),
        "requested_by": entry.actor.email,
    }


def notice_line(notice: Notice) -> dict[str, Any]:
    """Return one notice for the page: what it is about, and what became of its email."""
    state = notice.get_state_display()
    return {
        "kind": notice.get_kind_display(),
        "written": formatting.format_moment_cell(notice.created_at),
        "state": f"{state}: {notice.get_skip_reason_display()}" if notice.skip_reason else state,
        "sent": formatting.format_moment_cell(notice.sent_at),
    }
