"""One person for support: who they are, and everything of theirs in bounded parts, each by one indexed query."""

from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, Literal
from uuid import UUID

from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db.models import F, Max
from django.utils import timezone

from accounts.email_addresses import normal_email
from accounts.models import TokenFamily, User
from accounts.sign_ins import SignIn, browser_sign_ins, build_sign_in
from wallet.assets.models import CashbackAsset
from wallet.ledger.models import Entry

SHOWN = 10  # rows of each part, the latest
FOUND = 20  # people that a search shows
ACTIVE = "Active"  # the state of a sign-in that still counts


@dataclass(frozen=True)
class SignInLine:
    """One sign-in: on which device, when it was made and used, and whether it still counts."""

    kind: Literal["browser", "app"]
    device: str
    address: str
    since: datetime
    last_used: datetime
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


def latest_sign_ins(user: User) -> list[SignInLine]:
    """Return the sign-ins by browsers that are active, and the latest by apps: active ones first, then by last use."""
    lines = [sign_in_line(each, ACTIVE) for each in islice(browser_sign_ins(user, None), SHOWN)]
    for family in TokenFamily.objects.filter(user=user).order_by("-id")[:SHOWN]:
        lines.append(sign_in_line(build_sign_in(family.pk, "app", family, False), sign_in_state(family, user)))
    return sorted(lines, key=lambda line: (line.state == ACTIVE, line.last_used), reverse=True)[:SHOWN]


def sign_in_line(sign_in: SignIn, state: str) -> SignInLine:
    """Return a sign-in as the page shows it."""
    when = (sign_in.created_at, sign_in.last_used_at)
    return SignInLine(sign_in.kind, sign_in.device, sign_in.address, *when, state)


def sign_in_state(family: TokenFamily, user: User) -> str:
    """Return in words whether the sign-in is active, or why it ended."""
    if family.revoked_at:
        return str(family.get_revoked_reason_display())
    if family.expires_at <= timezone.now():
        return "Expired"
    return ACTIVE if family.auth_hash == user.get_session_auth_hash() else "The password was changed"


def latest_changes(user: User) -> list[LogEntry]:
    """Return the latest changes of the user's role, email or status by superusers."""
    kind = ContentType.objects.get_for_model(User)
    changes = LogEntry.objects.filter(content_type=kind, object_id=str(user.pk)).select_related("user")
    return list(changes.order_by("-action_time")[:SHOWN])
