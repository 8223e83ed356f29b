"""Checks of the programme after a run: credits that were due, notices, emails, webhooks and the feed, each once or as promised.

"lost" is what did not happen, "doubled" what happened twice, "order" an event before its time in a wallet, and "early" what was
not due yet.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from django.db import connection

from dev.chaos.mail_server import MailServer
from dev.chaos.programme_load import Due
from dev.chaos.webhook_receiver import Receiver
from wallet.ledger.models import Entry, Grant, Movement
from wallet.notices.models import Notice, NoticeKind, NoticeState
from wallet.verification.checker import Violation, fetch_rows

FEED = """
SELECT 'claim_' || id FROM ledger_entry UNION ALL SELECT 'movement_' || id FROM ledger_movement
UNION ALL SELECT 'issue_' || id FROM assets_issuance UNION ALL SELECT 'change_' || pgh_id FROM assets_cashbackassetevent
"""
# What happened before its time, by PostgreSQL's clock and by times that were set before the run.
EARLY = """
SELECT 'due ' || id || ' was granted before its next try' FROM programme_grantdue WHERE granted_at < next_try_at
UNION ALL SELECT 'credit ' || asset.id || ' was granted before its pool opened' FROM assets_cashbackasset AS asset
    JOIN assets_creditpool AS pool ON pool.id = asset.pool_id WHERE asset.claimed_at < pool.opens_at
UNION ALL SELECT 'credit ' || id || ' was expired' FROM assets_cashbackasset
    WHERE status = 'EXPIRED' AND expires_at > clock_timestamp()
UNION ALL SELECT 'credit ' || id || ' was opened' FROM assets_cashbackasset
    WHERE status = 'AVAILABLE' AND claimable_from > clock_timestamp()
UNION ALL SELECT 'hold ' || id || ' was ended' FROM ledger_payment
    WHERE reference LIKE 'kept %' AND held_until > clock_timestamp() AND held = 0
UNION ALL SELECT 'digest of ' || key || ' for ' || user_id FROM notices_notice
    WHERE kind = 'ending_soon' AND key::date > (clock_timestamp() AT TIME ZONE 'UTC')::date
UNION ALL SELECT 'notice ' || id || ' was sent' FROM notices_notice
    WHERE (payload ->> 'not_before')::timestamptz > clock_timestamp() AND state <> 'WAITING'
UNION ALL SELECT 'webhook ' || id || ' was given up' FROM delivery_webhookendpoint
    WHERE given_up_at IS NOT NULL AND failing_since > clock_timestamp() - interval '1 day'
UNION ALL SELECT 'seal ' || seq || ' was dated ' || sealed_at FROM ledger_seal
    WHERE abs(extract(epoch FROM sealed_at - clock_timestamp())) > 3600
"""
LATE = """
SELECT 'credit ' || id || ' was not expired' FROM assets_cashbackasset
    WHERE status = 'AVAILABLE' AND expires_at < clock_timestamp()
UNION ALL SELECT 'credit ' || id || ' was not opened' FROM assets_cashbackasset
    WHERE status = 'SCHEDULED' AND claimable_from < clock_timestamp()
UNION ALL SELECT 'credit ' || entry_id || ' did not lapse' FROM ledger_lot
    WHERE is_open AND spendable_until < clock_timestamp()
UNION ALL SELECT 'hold ' || id || ' was not ended' FROM ledger_payment WHERE held_until < clock_timestamp() AND held > 0
"""


def due_violations(expected: Sequence[Due]) -> list[Violation]:
    """Return violations for credits that were due and not granted, granted twice, to another person, or not due at all."""
    granted = Grant.objects.filter(reference__startswith="rule:").values_list("reference", "entry__user")
    numbers, owners = Counter(reference for reference, _ in granted), dict(granted)
    found = [
        Violation("lost", f"{due.grant_reference} was not granted") for due in expected if not numbers[due.grant_reference]
    ]
    found += [Violation("doubled", f"{reference} was granted {n} times") for reference, n in numbers.items() if n > 1]
    users = {due.grant_reference: due.user for due in expected}
    found += [
        Violation("grant", f"{reference} was granted to {user}, not {users.get(reference)}")
        for reference, user in owners.items()
        if users.get(reference) != user
    ]
    return found


def notice_violations(ending: Iterable[Any] = ()) -> list[Violation]:
    """Return violations for grants, refunds and ending credits that were noticed twice, or not at all."""
    written = Counter(Notice.objects.values_list("user", "kind", "key"))
    granted = Entry.objects.filter(grant__isnull=False).values_list("pk", "user")
    refunded = Movement.objects.filter(kind="REFUND").values_list("pk", "user")
    expected = [(user, NoticeKind.GRANTED, str(pk)) for pk, user in granted]
    expected += [(user, NoticeKind.REFUNDED, str(pk)) for pk, user in refunded]
    found = [Violation("lost", f"no notice: {thing}") for thing in expected if not written[thing]]
    with_digest = {user for user, kind, _ in written if kind == NoticeKind.ENDING_SOON}
    found += [Violation("lost", f"no digest for {user}") for user in ending if user not in with_digest]
    return found + [Violation("doubled", f"noticed {n} times: {thing}") for thing, n in written.items() if n > 1]


def email_violations(mail: MailServer, kills: int) -> list[Violation]:
    """Return violations for emails that left twice, or did not leave.

    An email is promised at most once: each killed scheduler may leave one that is not confirmed.
    """
    states = dict(Notice.objects.filter(payload__not_before__isnull=True).values_list("pk", "state"))
    left = Counter(message_id.strip("<>").partition("@")[0] for message_id in mail.ids())
    found = [Violation("doubled", f"email {pk} left {n} times") for pk, n in left.items() if n > 1]
    sent = {str(pk) for pk, state in states.items() if state == NoticeState.SENT}
    unsure = {str(pk) for pk, state in states.items() if state == NoticeState.HANDED_OVER}
    found += [Violation("lost", f"email {pk} is marked as sent and did not leave") for pk in sent - left.keys()]
    found += [Violation("email", f"email {pk} left, and nothing says so") for pk in left.keys() - sent - unsure]
    if len(unsure) > kills:
        found.append(Violation("lost", f"{len(unsure)} emails are not confirmed after {kills} kills"))
    others = Counter(state for state in states.values() if state not in (NoticeState.SENT, NoticeState.HANDED_OVER))
    return found + [Violation("lost", f"{n} notices are {state}") for state, n in others.items()]


def webhook_violations(receiver: Receiver, expected: set[str]) -> list[Violation]:
    """Return violations for events that a receiver does not have, has out of order, or could not verify."""
    found = [Violation("lost", f"webhook {missing} did not arrive") for missing in sorted(expected - set(receiver.ids))]
    found += [Violation("webhook", f"refused: {reason}, {n} times") for reason, n in Counter(receiver.refused).items()]
    return found + order_violations(receiver.received)


def feed_violations(read: Sequence[tuple[str, dict[str, Any]]]) -> list[Violation]:
    """Return violations for events that a reader of the feed missed, got twice or got out of order.

    Arguments:
        read: the id and the data of each event in the order in which it was read.
    """
    numbers = Counter(event_id for event_id, _ in read)
    expected = {row[0] for row in fetch_rows(connection, FEED)}
    found = [Violation("lost", f"the feed misses {event_id}") for event_id in sorted(expected - numbers.keys())]
    found += [Violation("doubled", f"the feed has {event_id} {n} times") for event_id, n in numbers.items() if n > 1]
    return found + order_violations({"id": event_id, "data": data} for event_id, data in read)


def order_violations(messages: Iterable[dict[str, Any]]) -> list[Violation]:
    """Return violations for the events of wallets that came before earlier ones; what comes again does not count."""
    seen, last, found = set[str](), defaultdict[tuple[str, str], int](int), list[Violation]()
    for message in messages:
        data = message["data"]
        if message["id"] in seen or "number" not in data:
            continue
        seen.add(message["id"])
        wallet = (data["user"], data["currency"])
        if data["number"] <= last[wallet]:
            found.append(Violation("order", f"{message['id']} came after number {last[wallet]} of its wallet"))
        last[wallet] = max(last[wallet], data["number"])
    return found


def time_violations() -> list[Violation]:
    """Return violations for what happened before its time, or not in time."""
    return [
        *(Violation("early", row[0]) for row in fetch_rows(connection, EARLY)),
        *(Violation("late", row[0]) for row in fetch_rows(connection, LATE)),
    ]
