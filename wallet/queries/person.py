"""One person for support: who they are, and everything of theirs in bounded parts, each by one indexed query."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db.models import F, Max
from django.utils import timezone

from accounts.email_addresses import normal_email
from accounts.models import TokenFamily, User
from wallet.assets.models import CashbackAsset
from wallet.ledger.models import Entry

SHOWN = 10  # rows of each part, the latest
FOUND = 20  # people that a search shows


@dataclass(frozen=True)
class SignIn:
    """One sign-in through the API: when it began and ends, and whether it still counts."""

    since: datetime
    until: datetime
    state: str


def find_people(text: str) -> list[User]:
    """Return up to FOUND + 1 users whose email begins with `text`, or the user with this id; the exact email comes first.

    A prefix is served by the index of the emails, which a text in the middle of them is not.
    """
    start = normal_email(text)
    if not start:
        return []
    try:
        return list(User.objects.filter(pk=UUID(start)))
    except ValueError:
        return list(User.objects.filter(email__startswith=start).order_by("email")[: FOUND + 1])


def latest_credits(user: User) -> list[CashbackAsset]:
    """Return the credits that the user owns, the latest first, with one more than SHOWN if there are more."""
    owned = CashbackAsset.objects.filter(claimed_by=user).with_current_status().select_related("pool")
    return list(owned.order_by("-id")[: SHOWN + 1])


def latest_claims(user: User) -> list[Entry]:
    """Return the user's ledger entries, the latest first, with one more than SHOWN if there are more."""
    return list(Entry.objects.filter(user=user).newest_first().select_related("asset__pool", "actor")[: SHOWN + 1])


def limits_reached(user: User) -> list[dict[str, Any]]:
    """Return the pools (`pool`, `name`, `limit`) of which the user owns as many credits as one user may."""
    owned: Any = CashbackAsset.objects.filter(claimed_by=user, pool__per_user_limit__isnull=False).order_by()
    by_pool = owned.values("pool", name=F("pool__name"), limit=F("pool__per_user_limit")).annotate(made=Max("claim_slot"))
    return list(by_pool.filter(made__gte=F("limit")).order_by("name")[:SHOWN])


def latest_sign_ins(user: User) -> list[SignIn]:
    """Return the latest sign-ins through the API, ended ones included."""
    families = TokenFamily.objects.filter(user=user).order_by("-id")[:SHOWN]
    return [SignIn(family.created_at, family.expires_at, sign_in_state(family, user)) for family in families]


def sign_in_state(family: TokenFamily, user: User) -> str:
    """Return in words whether the sign-in is active, or why it ended."""
    if family.revoked_at:
        return str(family.get_revoked_reason_display())
    if family.expires_at <= timezone.now():
        return "Expired"
    return "Active" if family.auth_hash == user.get_session_auth_hash() else "The password was changed"


def latest_changes(user: User) -> list[LogEntry]:
    """Return the latest changes of the user's role, email or status by superusers."""
    kind = ContentType.objects.get_for_model(User)
    changes = LogEntry.objects.filter(content_type=kind, object_id=str(user.pk)).select_related("user")
    return list(changes.order_by("-action_time")[:SHOWN])
