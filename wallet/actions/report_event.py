"""Report that something happened to a person elsewhere: rules that wait for an event of this name owe a credit from then on."""

import re
from datetime import datetime, timedelta

from django.core.exceptions import ValidationError
from django.db import IntegrityError
from django.db.models import Q
from django.utils.translation import gettext_noop as _

from accounts.models import User
from accounts.services import Service
from kernel.refusals import BadRequest
from kernel.statements import database_time
from kernel.timestamps import format_timestamp
from kernel.transactions import Busy, atomic_with_retry, violated_constraint
from wallet.actions.payment_answers import Answer
from wallet.actions.payment_checks import check_reference
from wallet.actions.payment_refusals import ReferenceUsed
from wallet.ledger.idempotency import IdempotencyKeyReused
from wallet.programme.events import EVENT_NAME, GrantEvent
from wallet.programme.models import GrantDue, GrantRule, ReportedEvent

CLOCK_DIFFERENCE = timedelta(minutes=5)
RACES = ("event_reference", "event_request_key")  # another request reported it meanwhile: look again


class UnknownEvent(BadRequest):
    code = "unknown_event"
    meaning = _("No rule uses an event with this name, so reporting it would have no effect.")
    detail = _("No rule uses an event with this name. Check the name, or ask an operator to create a rule for it.")


@atomic_with_retry(idempotent=True)
def report_event(
    service: Service, user: User, *, name: str, reference: str, occurred_at: datetime | None = None, key: str | None = None
) -> Answer:
    """Record an event of the service, once per reference and per key, and return it with the number of credits that are due.

    Arguments:
        reference: the service's name of the event; the same one again is the same event.
        occurred_at: when it happened, for the record; rules count it from when it is reported.
        key: the Idempotency-Key of the request.

    An event that only paused rules know is recorded, and nothing is due for it. Raises ValidationError for a time that is yet
    to come; InvalidReference, UnknownEvent, ReferenceUsed, IdempotencyKeyReused, Busy.
    """
    check_reference(reference)
    event = ReportedEvent(service=service, user=user, name=name, reference=reference, occurred_at=occurred_at, request_key=key)
    if earlier := find_event(service, reference, key):
        return same_event(earlier, event)
    if occurred_at is not None:
        check_past(occurred_at)
    rules = GrantRule.objects.filter(event=GrantEvent.REPORTED, event_name=name)
    if not re.fullmatch(EVENT_NAME.strip("^$"), name) or not rules.exists():
        raise UnknownEvent
    try:
        event.save(force_insert=True)
    except IntegrityError as error:
        if violated_constraint(error) in RACES:
            raise Busy from error
        raise
    return Answer(event_body(ReportedEvent.objects.get(pk=event.pk)))


def check_past(occurred_at: datetime) -> None:
    """Raise ValidationError for a time to come by PostgreSQL's clock, from which the caller's may differ a little."""
    if occurred_at > database_time() + CLOCK_DIFFERENCE:
        message = "This time is yet to come. Report an event after it happened."
        raise ValidationError({"occurred_at": ValidationError(message, code="future")})


def find_event(service: Service, reference: str, key: str | None) -> ReportedEvent | None:
    """Return the service's event that this key reported, or else the one of this reference."""
    same = Q(reference=reference) if key is None else Q(reference=reference) | Q(request_key=key)
    events = list(ReportedEvent.objects.filter(same, service=service))
    return next((event for event in events if key is not None and event.request_key == key), events[0] if events else None)


def same_event(earlier: ReportedEvent, event: ReportedEvent) -> Answer:
    """Return the earlier event again; raise IdempotencyKeyReused or ReferenceUsed if this one is different."""
    is_same_key = event.request_key is not None and earlier.request_key == event.request_key
    if content_of(earlier) != content_of(event):
        raise IdempotencyKeyReused if is_same_key else ReferenceUsed
    return Answer(event_body(earlier), 201 if is_same_key else 200, replayed=is_same_key)


def content_of(event: ReportedEvent) -> tuple[object, ...]:
    """Return what a request says about an event."""
    return event.user_id, event.name, event.reference, event.occurred_at


def event_body(event: ReportedEvent) -> dict[str, object]:
    """Return the event in JSON types, with the number of credits that rules owe for it."""
    return {
        "id": str(event.pk),
        "name": event.name,
        "reference": event.reference,
        "user": str(event.user_id),
        "occurred_at": format_timestamp(event.occurred_at),
        "reported_at": format_timestamp(event.reported_at),
        "credits_due": GrantDue.objects.filter(
            rule__event=GrantEvent.REPORTED, rule__event_name=event.name, reference=event.pk
        ).count(),
    }
