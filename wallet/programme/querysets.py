"""QuerySets of rules and of what they owe."""

from typing import TYPE_CHECKING, Any, Self

from django.db import models
from django.db.models import BooleanField, Case, CharField, Exists, ExpressionWrapper, F, OuterRef, Q, Value, When
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from wallet.assets.models import CashbackAsset, CreditPool
from wallet.assets.querysets import OPEN
from wallet.programme.events import PAYMENT_REFUNDED

if TYPE_CHECKING:
    from wallet.programme.models import GrantDue, GrantRule, Referral  # noqa: F401  (names of the type parameters)


class DueState(models.TextChoices):
    """Whether a due credit was granted, and otherwise what it waits for."""

    GRANTED = "GRANTED", _("Granted")
    TAKEN_BACK = "TAKEN_BACK", _("Taken back")
    PAYMENT_REFUNDED = "PAYMENT_REFUNDED", _("Payment refunded")
    REVIEW = "REVIEW", _("Waiting for review")
    REFUSED = "REFUSED", _("Refused at review")
    PAUSED = "PAUSED", _("Rule paused")
    CLOSED = "CLOSED", _("Pool closed")
    SOLD_OUT = "SOLD_OUT", _("Pool sold out")
    NOT_POSSIBLE = "NOT_POSSIBLE", _("Not possible now")
    QUEUED = "QUEUED", _("Within seconds")


def pool_is_open(pool: str) -> Exists:
    """Return whether the pool of a row accepts claims now; `pool` is the path to it."""
    return Exists(CreditPool.objects.filter(OPEN, pk=OuterRef(pool)))


def pool_has_supply(pool: str) -> ExpressionWrapper[Q]:
    """Return whether the pool of a row has a credit that can be claimed now, or would issue one on demand."""
    issues = CreditPool.objects.filter(CreditPool.objects.all().within_budget(), pk=OuterRef(pool))
    has_claimable = Exists(CashbackAsset.objects.claimable().filter(pool=OuterRef(pool)))
    return ExpressionWrapper(Q(has_claimable) | Q(Exists(issues)), output_field=BooleanField())


class GrantRuleQuerySet(models.QuerySet["GrantRule"]):
    """Sets of rules."""

    def ready(self) -> Self:
        """Keep active rules whose pool is open and has a credit to claim: one look each, however much is due."""
        return self.filter(pool_is_open("pool"), pool_has_supply("pool"), is_active=True)

    def with_supply(self) -> Self:
        """Annotate `is_open` and `has_supply`: whether its pool accepts claims, and has a credit to claim."""
        return self.annotate(is_open=pool_is_open("pool"), has_supply=pool_has_supply("pool"))


class GrantDueQuerySet(models.QuerySet["GrantDue"]):
    """Sets of dues."""

    def to_try(self) -> Self:
        """Keep dues that are not granted and whose next try may be now, the longest waiting first."""
        return self.filter(entry=None, next_try_at__lte=Now()).order_by("next_try_at", "pk")

    def of_refunded_payments(self) -> Self:
        """Keep dues whose payment was refunded as a whole, and of which nothing is held that might be captured yet."""
        return self.filter(payment__captured__gt=0, payment__refunded=F("payment__captured"), payment__held=0)

    def cancel(self) -> bool:
        """Record that these dues are never granted, because their payment was refunded; return whether there were any."""
        return bool(self.update(refusal=PAYMENT_REFUNDED, next_try_at=None))

    def with_state(self) -> Self:
        """Annotate `state`, a DueState: derived from the due, its rule, its pool and its referral, never stored."""
        is_refused = Q(friend__referral__is_approved=False)
        states: list[tuple[Any, DueState]] = [
            (Q(entry__lot__clawback_total=F("entry__lot__total")), DueState.TAKEN_BACK),
            (Q(entry__isnull=False), DueState.GRANTED),
            (Q(refusal=PAYMENT_REFUNDED), DueState.PAYMENT_REFUNDED),
            (is_refused, DueState.REFUSED),
            (Q(next_try_at=None), DueState.REVIEW),
            (Q(rule__is_active=False), DueState.PAUSED),
            (~pool_is_open("rule__pool"), DueState.CLOSED),
            (~pool_has_supply("rule__pool"), DueState.SOLD_OUT),
            (~Q(refusal=""), DueState.NOT_POSSIBLE),
        ]
        whens = [When(condition, then=Value(state.value)) for condition, state in states]
        return self.annotate(state=Case(*whens, default=Value(DueState.QUEUED.value), output_field=CharField()))


class ReferralQuerySet(models.QuerySet["Referral"]):
    """Sets of referrals."""

    def undecided(self) -> Self:
        """Keep referrals that wait for an operator."""
        return self.filter(~Q(held_for=""), is_approved=None)
