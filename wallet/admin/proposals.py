"""The section of the approvals: what waits for another operator, its effect, and its decision."""

from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from accounts.models import User
from kernel.refusals import Refusal
from wallet.actions.decide_proposal import approve_proposal, refuse_proposal
from wallet.actions.preview_proposal import preview_proposal
from wallet.admin import formatting
from wallet.admin.base import ReadOnlyAdmin, error_sentence, require_operator, require_safe_method
from wallet.admin.filters import ChoiceFilter, PoolFilter, channel_label, refuse_filter
from wallet.ledger.models import Proposal, ProposalKind, ProposalState
from wallet.ledger.proposals import MAX_REASON_LENGTH
from wallet.queries.proposals import IN_STATE, listed_proposals

STATE_LABELS = {
    ProposalState.PENDING.label: "warning",
    ProposalState.APPROVED.label: "success",
    ProposalState.REFUSED.label: "danger",
    ProposalState.EXPIRED.label: "info",
}
# The names of what a proposal shows, in their order.
FACTS = {
    "user": _("Customer"),
    "credit": _("Credit"),
    "count": _("Credits"),
    "value": _("Value"),
    "amount": _("Amount"),
    "shortfall": _("Taken later"),
    "total": _("Credit in all"),
    "available": _("Available"),
    "held": _("Held"),
    "spent": _("Spent"),
    "threshold": _("Threshold now"),
    "new_threshold": _("New threshold"),
    "ends": _("Ends"),
    "spendable_until_now": _("Ends"),
    "until": _("New end"),
    "spendable_until": _("New end"),
    "expires_at": _("Expires"),
    "per_day": _("A day"),
    "starts_on": _("First day"),
    "generation": _("Generation"),
    "reference": _("Reference"),
    "file": _("File"),
    "sha256": "SHA-256",
}


class ProposalStateFilter(ChoiceFilter):
    """The state of a proposal now."""

    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        """Return the states."""
        return ProposalState.choices

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Keep the proposals in the state."""
        if not (chosen := self.value()):
            return queryset
        if chosen not in ProposalState.values:
            return refuse_filter(request, queryset, self.title)
        return queryset.filter(IN_STATE[ProposalState(chosen)])


class ProposalKindFilter(ChoiceFilter):
    """What is proposed."""

    title = _("kind")
    parameter_name = "kind"
    field = "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        """Return the kinds."""
        return ProposalKind.choices


@admin.register(Proposal)
class ProposalAdmin(ReadOnlyAdmin):
    """Proposals, newest first."""

    list_display = ("what", "value", "pool_name", "proposer", "proposed", "state_now", "decider")
    list_filter = (ProposalStateFilter, ProposalKindFilter, PoolFilter)
    ordering = ("-id",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Proposal]:
        """Return all proposals with their people and the database's time."""
        return listed_proposals().order_by("-id")

    def get_urls(self) -> list[Any]:
        """Add the URL that the buttons of a proposal's page send to."""
        view = self.admin_site.admin_view(self.decide)
        return [path("<any_case_uuid:proposal_id>/decide/", view, name="ledger_proposal_decide"), *super().get_urls()]

    def decide(self, request: HttpRequest, proposal_id: UUID) -> HttpResponse:
        """Approve or refuse, as the button says."""
        actor = require_operator(request)
        if request.method != "POST":
            raise PermissionDenied
        reason = request.POST.get("reason", "")
        try:
            if request.POST.get("decision") == "approve":
                approve_proposal(proposal_id, actor, reason)
                messages.success(request, _("Approved, and done."))
            else:
                refuse_proposal(proposal_id, actor, reason)
                messages.success(request, _("Refused. Nothing was done."))
        except (Refusal, ValidationError) as error:
            messages.error(request, error_sentence(error))
        return redirect("admin:ledger_proposal_change", proposal_id)

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Show a proposal, what it would do now, and the buttons that decide it."""
        actor = require_operator(require_safe_method(request))
        proposal: Any = self.get_object(request, object_id or "")
        if proposal is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, str(object_id))  # type: ignore[no-any-return]
        context = {**self.admin_site.each_context(request), "opts": self.opts, **proposal_context(proposal, actor)}
        return TemplateResponse(request, "admin/proposal.html", context)

    @display(description=_("what"))  # type: ignore[untyped-decorator]
    def what(self, proposal: Proposal) -> str:
        """Return what is proposed."""
        return proposal.get_kind_display()

    @display(description=_("amount"), empty_value="")  # type: ignore[untyped-decorator]
    def value(self, proposal: Proposal) -> str | None:
        """Return the amount that is compared with the threshold."""
        return None if proposal.amount is None else formatting.format_money(proposal.amount, proposal.currency)

    @display(description=_("pool"))  # type: ignore[untyped-decorator]
    def pool_name(self, proposal: Proposal) -> Any:
        """Return a link to the pool."""
        return formatting.link_to(proposal.pool)

    @display(description=_("proposed by"))  # type: ignore[untyped-decorator]
    def proposer(self, proposal: Proposal) -> str:
        """Return who asked: an operator or a service."""
        return str(proposal.proposed_by.email if proposal.proposed_by else proposal.service)

    @display(description=_("proposed (UTC)"), ordering="id")  # type: ignore[untyped-decorator]
    def proposed(self, proposal: Proposal) -> Any:
        """Return when it was proposed."""
        return formatting.format_moment_cell(proposal.proposed_at)

    @display(description=_("state"), label=STATE_LABELS)  # type: ignore[untyped-decorator]
    def state_now(self, proposal: Any) -> Any:
        """Return the state now."""
        return proposal.state(proposal.now).label

    @display(description=_("decided by"), empty_value="")  # type: ignore[untyped-decorator]
    def decider(self, proposal: Proposal) -> str | None:
        """Return who decided."""
        return proposal.decided_by.email if proposal.decided_by else None


def proposal_context(proposal: Any, actor: User) -> dict[str, Any]:
    """Return what the page of a proposal shows."""
    state = proposal.state(proposal.now)
    is_pending = state == ProposalState.PENDING
    return {
        "title": _("Approval"),
        "heading": proposal.get_kind_display(),
        "proposal": proposal,
        "state": state.label,
        "is_pending": is_pending,
        "is_own": proposal.proposed_by_id == actor.pk,
        "pool": formatting.link_to(proposal.pool),
        "source": channel_label(proposal.channel),
        "shown": named_facts(proposal.shown | shown_user(proposal.shown.get("user"))),
        "effect": effect_now(proposal) if is_pending else None,
        "result": result_url(proposal),
        "max_reason_length": MAX_REASON_LENGTH,
    }


def shown_user(user_id: str | None) -> dict[str, Any]:
    """Return the customer with a link: a proposal keeps the id, as an account that is closed loses its email."""
    return {"user": formatting.link_to_owner(User.objects.get(pk=user_id))} if user_id else {}


def named_facts(facts: dict[str, Any]) -> list[tuple[Any, Any]]:
    """Return (name, value) of the facts that are given, in their usual order."""
    return [(name, facts[key]) for key, name in FACTS.items() if facts.get(key) is not None]


def effect_now(proposal: Proposal) -> dict[str, Any]:
    """Return what an approval would do now, or why it would be refused."""
    try:
        return {"facts": named_facts(preview_proposal(proposal)), "refusal": None}
    except (Refusal, ValidationError) as error:
        return {"facts": [], "refusal": error_sentence(error)}


def result_url(proposal: Any) -> str | None:
    """Return the URL of what an approved proposal made; None without one."""
    if proposal.result is None:
        return None
    claim = proposal.parameters.get("claim")
    pages = {
        ProposalKind.GRANT: ("admin:ledger_entry_change", proposal.result),
        ProposalKind.CLAWBACK: ("admin:ledger_entry_change", claim),
        ProposalKind.EXTEND: ("admin:ledger_entry_change", claim),
        ProposalKind.THRESHOLD: ("admin:assets_creditpool_change", proposal.result),
    }
    name, pk = pages.get(ProposalKind(proposal.kind), ("admin:assets_batch_change", proposal.result))
    return reverse(name, args=[pk])
