"""Invite friends: give a person their code, and decide on a referral that is held."""

from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext_noop as _

from accounts import audit
from accounts.models import User
from kernel.refusals import Conflict, NotFound
from wallet.programme.models import Referral, ReferralCode
from wallet.programme.referral_codes import new_code


class ReferralNotFound(NotFound):
    code = "not_found"
    meaning = _("The referral does not exist.")
    detail = _("Referral not found. See the list of referrals.")


class ReferralDecided(Conflict):
    code = "referral_decided"
    meaning = _("The referral is not held for review, or was already decided.")
    detail = _("This referral was already decided, and its decision is final. See the list of referrals.")


def ensure_referral_code(user: User) -> str:
    """Return the person's code; the first call makes it."""
    with transaction.atomic():
        code = ReferralCode.objects.filter(user=user).first()
        while code is None:  # a new code may be another person's, or another request may have made this person's
            ReferralCode.objects.bulk_create([ReferralCode(user=user, code=new_code())], ignore_conflicts=True)
            code = ReferralCode.objects.filter(user=user).first()
    return code.code


def review_referral(friend_id: UUID, actor: User, *, is_approved: bool) -> Referral:
    """Approve or refuse a referral that is held: what is due for it is granted, or never will be.

    Raises ReferralNotFound, ReferralDecided.
    """
    with transaction.atomic():
        referral = Referral.objects.select_for_update(no_key=True).filter(pk=friend_id).first()
        if referral is None:
            raise ReferralNotFound
        if not referral.held_for or referral.is_approved is not None:
            raise ReferralDecided
        Referral.objects.filter(pk=friend_id).update(is_approved=is_approved, decided_by=actor)
    decision = "approve" if is_approved else "refuse"
    audit.record_event("referral_review", "done", actor, subject=str(friend_id), decision=decision)
    return Referral.objects.get(pk=friend_id)
