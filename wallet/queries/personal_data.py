"""Everything that is stored about one user, for the user."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from accounts.models import User
from accounts.sign_ins import SignIn, list_sign_ins
from kernel.timestamps import format_timestamp
from wallet.ledger.models import Entry, Movement
from wallet.ledger.movement_kinds import OF_CLAIM
from wallet.money import format_amount
from wallet.notices.models import Notice
from wallet.programme.models import Referral, ReferralCode, ReportedEvent
from wallet.queries.notices import notice_preferences, notices_of
from wallet.queries.payments import payments_of, shown_payment

ROWS_PER_FETCH = 500  # of a server-side cursor


def personal_data_json(user: User) -> Iterator[str]:
    """Yield a JSON object in chunks: first what is about the person, then what happened, newest first.

    Refused claims and searches are counted without their user, so there is nothing of them to list.
    """
    head = {
        "profile": profile(user),
        "sign_ins": [sign_in_facts(sign_in) for sign_in in list_sign_ins(user)],
        "emails": notice_preferences(user),
        "invitations": invitation_facts(user),
        "reported_events": [event_facts(event) for event in ReportedEvent.objects.filter(user=user).select_related("service")],
    }
    yield json.dumps(head, indent=1, ensure_ascii=False)[:-2]
    entries = Entry.objects.filter(user=user).select_related("asset__pool").newest_first()
    yield from json_list("claims", map(claim_facts, entries.iterator(ROWS_PER_FETCH)))
    payments = payments_of(user).order_by("-began_at", "-id")
    yield from json_list("payments", map(shown_payment, payments.iterator(ROWS_PER_FETCH)))
    changes = Movement.objects.filter(user=user, kind__in=OF_CLAIM).order_by("-at", "-id")
    yield from json_list("credit_changes", map(credit_change_facts, changes.iterator(ROWS_PER_FETCH)))
    yield from json_list("notices", map(notice_facts, notices_of(user).iterator(ROWS_PER_FETCH)))
    yield "\n}\n"


def json_list(name: str, items: Iterable[dict[str, Any]]) -> Iterator[str]:
    """Yield a further member of a JSON object, a list, item by item."""
    yield f',\n "{name}": ['
    separator = ""
    for item in items:
        yield f"{separator}\n  {json.dumps(item, ensure_ascii=False)}"
        separator = ","
    yield "\n ]"


def claim_facts(entry: Entry) -> dict[str, Any]:
    """Return a claim with the name of its pool."""
    return entry.receipt() | {"pool": entry.asset.pool.name if entry.asset.pool else None}


def credit_change_facts(movement: Movement) -> dict[str, Any]:
    """Return a lapse, clawback or extension of a claimed credit."""
    return {
        "id": str(movement.pk),
        "kind": movement.kind,
        "claim": str(movement.claim_id),
        "amount": format_amount(movement.amount, movement.currency),
        "currency": movement.currency,
        "at": format_timestamp(movement.at),
        "reason": movement.reason,
    }


def notice_facts(notice: Notice) -> dict[str, Any]:
    """Return what is stored about a notice."""
    return {
        "kind": notice.kind,
        "about": notice.payload,
        "written_at": format_timestamp(notice.created_at),
        "state": notice.state,
        "sent_at": format_timestamp(notice.sent_at),
    }


def profile(user: User) -> dict[str, Any]:
    """Return what the user's row says about the person; neither password nor secrets."""
    return {
        "id": str(user.pk),
        "email": user.email,
        "email_verified_at": format_timestamp(user.email_verified_at),
        "pending_email": user.pending_email or None,
        "role": user.role,
        "time_zone": user.time_zone or None,
        "language": user.language or None,
        "created_at": format_timestamp(user.created_at),
        "last_sign_in": format_timestamp(user.last_login),
        "two_step_verification_since": format_timestamp(user.two_factor_since),
    }


def invitation_facts(user: User) -> dict[str, Any]:
    """Return the person's code and how many friends used it, and whether a friend invited them; friends are not named."""
    return {
        "code": ReferralCode.objects.filter(user=user).values_list("code", flat=True).first(),
        "friends": Referral.objects.filter(referrer=user).count(),
        "invited_by_a_friend": Referral.objects.filter(friend=user).exists(),
    }


def event_facts(event: ReportedEvent) -> dict[str, Any]:
    """Return what a service reported about the person."""
    return {
        "service": event.service.name,
        "name": event.name,
        "reference": event.reference,
        "occurred_at": format_timestamp(event.occurred_at),
        "reported_at": format_timestamp(event.reported_at),
    }


def sign_in_facts(sign_in: SignIn) -> dict[str, Any]:
    """Return what is stored about a sign-in."""
    return {
        "kind": sign_in.kind,
        "user_agent": sign_in.user_agent,
        "address": sign_in.address,
        "created_at": format_timestamp(sign_in.created_at),
        "last_used_at": format_timestamp(sign_in.last_used_at),
    }
