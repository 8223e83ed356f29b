"""The section of referrals, and the page on which an operator decides on one that is held."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.decorators import method_decorator
from django.utils.translation import gettext_lazy as _
from django.views.decorators.csrf import csrf_protect
from unfold.decorators import display

from kernel.refusals import Refusal
from wallet.actions.referral import review_referral
from wallet.admin import formatting
from wallet.admin.base import OperatorAdmin, require_operator
from wallet.admin.filters import ChoiceFilter
from wallet.programme.events import HeldFor
from wallet.programme.models import Referral
from wallet.queries.referrals import MAX_RELATED, related_referrals

UNDECIDED, APPROVED, REFUSED, NOT_HELD = "undecided", "approved", "refused", "not_held"
REVIEWS = {
    UNDECIDED: (_("Waiting for review"), ~Q(held_for="") & Q(is_approved=None)),
    APPROVED: (_("Approved"), Q(is_approved=True)),
    REFUSED: (_("Refused"), Q(is_approved=False)),
    NOT_HELD: (_("Not held"), Q(held_for="")),
}
REVIEW_LABELS = {_("Waiting for review"): "warning", _("Approved"): "success", _("Refused"): "danger"}
DECISIONS = {"approve": True, "refuse": False}


class ReviewFilter(ChoiceFilter):
    """Whether a referral waits for an operator, or what was decided."""

    title = _("review")
    parameter_name = "review"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        """Return the states of a review."""
        return [(name, title) for name, (title, _condition) in REVIEWS.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Keep the referrals in the state."""
        if (chosen := self.value()) not in REVIEWS:
            return super().queryset(request, queryset)
        return queryset.filter(REVIEWS[chosen][1])


def review_of(referral: Referral) -> Any:
    """Return the title of a referral's review."""
    if not referral.held_for:
        return REVIEWS[NOT_HELD][0]
    decided = {None: UNDECIDED, True: APPROVED, False: REFUSED}
    return REVIEWS[decided[referral.is_approved]][0]


@admin.register(Referral)
class ReferralAdmin(OperatorAdmin):
    """Referrals, latest first. One that is held is decided on on its page."""

    list_display = ("joined", "friend_email", "referrer_email", "held", "review", "decider")
    list_filter = (ReviewFilter,)
    list_select_related = ("friend", "referrer", "decided_by")
    search_fields = ("friend__email", "referrer__email")
    search_help_text = _("Email of the friend or of the person who invited them")
    actions = None
    ordering = ("-created_at",)

    @method_decorator(csrf_protect)
    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Show a referral with others that are like it, and decide on it when a button was pressed."""
        actor = require_operator(request)
        referral: Any = self.get_object(request, object_id or "")
        if referral is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, str(object_id))  # type: ignore[no-any-return]
        if request.method == "POST":
            if (verb := request.POST.get("verb", "")) not in DECISIONS:
                raise PermissionDenied
            try:
                review_referral(referral.pk, actor, is_approved=DECISIONS[verb])
                messages.success(request, _("Approved: what is due is granted.") if DECISIONS[verb] else _("Refused."))
            except Refusal as refusal:
                messages.error(request, refusal.message)
            return redirect(request.path)
        context = {**self.admin_site.each_context(request), "opts": self.opts, **referral_context(referral)}
        return TemplateResponse(request, "admin/referral.html", context)

    @display(description=_("joined (UTC)"), ordering="created_at")  # type: ignore[untyped-decorator]
    def joined(self, referral: Referral) -> Any:
        """Return when the friend registered."""
        return formatting.format_moment_cell(referral.created_at)

    @display(description=_("friend"))  # type: ignore[untyped-decorator]
    def friend_email(self, referral: Referral) -> Any:
        """Return the friend, with a link."""
        return formatting.link_to_owner(referral.friend)

    @display(description=_("invited by"))  # type: ignore[untyped-decorator]
    def referrer_email(self, referral: Referral) -> Any:
        """Return who invited them, with a link."""
        return formatting.link_to_owner(referral.referrer)

    @display(description=_("held for"), empty_value="")  # type: ignore[untyped-decorator]
    def held(self, referral: Referral) -> Any:
        """Return why it is held."""
        return HeldFor(referral.held_for).label if referral.held_for else None

    @display(description=_("review"), label=REVIEW_LABELS)  # type: ignore[untyped-decorator]
    def review(self, referral: Referral) -> Any:
        """Return what was decided."""
        return review_of(referral)

    @display(description=_("decided by"), empty_value="")  # type: ignore[untyped-decorator]
    def decider(self, referral: Referral) -> Any:
        """Return who decided."""
        return referral.decided_by and referral.decided_by.email


def referral_context(referral: Referral) -> dict[str, Any]:
    """Return what the page shows of a referral."""
    related = related_referrals(referral)
    return {
        "title": _("Referral"),
        "referral": referral,
        "friend": formatting.link_to_owner(referral.friend),
        "referrer": formatting.link_to_owner(referral.referrer),
        "held": HeldFor(referral.held_for).label if referral.held_for else None,
        "review": review_of(referral),
        "is_undecided": bool(referral.held_for) and referral.is_approved is None,
        "related": [{"referral": other, "friend": formatting.link_to_owner(other.friend)} for other in related],
        "is_cut": len(related) == MAX_RELATED,
    }
