"""What came of a person's invitations, without saying who the friends are."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Count, F, Q, QuerySet, Sum
from django.db.models.functions import Now
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from wallet.ledger.models import Entry
from wallet.programme.events import PAYMENT_REFUNDED, GrantEvent
from wallet.programme.models import GrantDue, GrantRule, Referral

MAX_RELATED = 50  # of the referrals beside one that an operator reviews
# Refusals that mean: there is no reward for this friend.
FINAL_REFUSALS = ("rule_cap_reached", "claim_limit_reached", PAYMENT_REFUNDED)


class FriendState(models.TextChoices):
    """What came of one invitation."""

    JOINED = "joined", _("Joined")
    IN_REVIEW = "in_review", _("Being checked")
    NO_REWARD = "no_reward", _("No reward")
    REWARD_WAITING = "reward_waiting", _("Reward on its way")
    REWARDED = "rewarded", _("Rewarded")
    TAKEN_BACK = "taken_back", _("Reward taken back")


@dataclass(frozen=True)
class Reward:
    """The credit that a person got for a friend; `pending_until` is when it can be spent, None once it can."""

    amount: Decimal
    currency: str
    pending_until: datetime | None


@dataclass(frozen=True)
class InvitedFriend:
    """One friend who registered with a person's code: the beginning of their email, and what came of it."""

    name: str
    joined_at: datetime
    state: FriendState
    reward: Reward | None


def referral_link(code: str) -> str:
    """Return the link by which friends register with a code."""
    return f"{settings.PUBLIC_URL}{reverse('join', args=[code])}"


def referrals_of(user: User) -> QuerySet[Referral]:
    """Return the person's referrals, latest first, with what invited_friend reads of them, in one query."""
    related = ("friend__due_to_referrer__entry__lot",)
    referrals = Referral.objects.filter(referrer=user).select_related(*related).annotate(id=F("friend_id"), now=Now())
    return referrals.order_by("-created_at", "-id")


def invited_friend(referral: Any) -> InvitedFriend:
    """Return what came of a row of referrals_of."""
    due: GrantDue | None = getattr(referral.friend, "due_to_referrer", None)
    return InvitedFriend(
        f"{referral.friend.email[:1]}•••", referral.created_at, friend_state(referral, due), reward_of(due, referral.now)
    )


def friend_state(referral: Referral, due: GrantDue | None) -> FriendState:
    """Return what came of a referral, given what it made due."""
    if due is not None and due.entry is not None:
        return FriendState.TAKEN_BACK if was_taken_back(due.entry) else FriendState.REWARDED
    if referral.held_for and referral.is_approved is not True:
        return FriendState.NO_REWARD if referral.is_approved is False else FriendState.IN_REVIEW
    if due is None:
        return FriendState.JOINED
    return FriendState.NO_REWARD if due.refusal in FINAL_REFUSALS else FriendState.REWARD_WAITING


def was_taken_back(entry: Entry) -> bool:
    """Return whether the whole credit was clawed back."""
    return bool(entry.lot.clawback_total == entry.lot.total)


def reward_of(due: GrantDue | None, now: datetime) -> Reward | None:
    """Return the credit that was granted and not taken back, if there is one."""
    if due is None or due.entry is None or was_taken_back(due.entry):
        return None
    entry, spendable_from = due.entry, due.entry.lot.spendable_from
    return Reward(entry.amount, entry.currency, spendable_from if spendable_from > now else None)


def referral_counts(user: User) -> dict[str, Any]:
    """Return how many friends joined, for how many a reward was granted and kept, and what was earned per currency."""
    lot = "friend__due_to_referrer__entry__lot__"
    rewarded = Q(**{f"{lot}clawback_total__lt": F(f"{lot}total")})
    counts = Referral.objects.filter(referrer=user).aggregate(friends=Count("pk"), rewarded=Count("pk", filter=rewarded))
    earned = (
        GrantDue.objects.filter(user=user, friend__isnull=False, entry__lot__clawback_total__lt=F("entry__lot__total"))
        .values("entry__currency")
        .annotate(amount=Sum(F("entry__lot__total") - F("entry__lot__clawback_total")))
        .order_by("entry__currency")
    )
    return counts | {"earned": [{"currency": line["entry__currency"], "amount": line["amount"]} for line in earned]}


def related_referrals(referral: Referral) -> list[Referral]:
    """Return the latest other referrals by the same person, at most MAX_RELATED."""
    others = Referral.objects.filter(referrer=referral.referrer_id).exclude(pk=referral.pk)
    return list(others.select_related("friend").order_by("-created_at")[:MAX_RELATED])


def friend_rules() -> Iterable[GrantRule]:
    """Return the active rules that reward a friend's first payment, the oldest first: that is the one that counts."""
    return GrantRule.objects.filter(is_active=True, event=GrantEvent.FRIEND_FIRST_PAYMENT).select_related("pool").order_by("pk")
