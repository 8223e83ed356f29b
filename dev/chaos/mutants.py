"""Ten wrong implementations. The checker must detect each of them, or its silence proves nothing."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.utils import timezone

from dev.chaos.experiment import Experiment, Outcome, create_people, fresh_database
from dev.chaos.money_mutants import MONEY_MUTANTS
from dev.race import mutant, scratch_database
from dev.race.claim_client import ClaimClient
from dev.race.fixture import VALUE, RaceFixture
from dev.race.transport import ClaimResponse, DirectTransport, pool_request, record_claim, user_of
from wallet.actions import issue_assets, seal_ledger
from wallet.actions.claim import claim_asset
from wallet.assets.models import CashbackAsset
from wallet.ledger import idempotency, signing
from wallet.ledger.models import Entry, EntryKind
from wallet.verification.checker import Violation, snapshot_connection, verify_everything

CATCH_SECONDS = 20


def catch_mutants(experiment: Experiment) -> Outcome:
    """T0: each mutant claims, and the checker must detect the violation, within 20 s."""
    found, caught = [], []
    for name, (live, expected) in MUTANTS.items():
        begun = time.monotonic()
        fresh_database(experiment)
        fixture = create_people(experiment, users=8, credits_=2, pool=20, http=False)
        log = live(fixture)
        connection.close()
        with snapshot_connection() as reader:
            seen = {violation.invariant for violation in verify_everything(reader, log, fixture.issued)}
        took = time.monotonic() - begun
        found += too_late(name, took)
        if expected in seen:
            caught.append(f"{name} ({took:.1f} s)")
        else:
            found.append(Violation("T0", f"the mutant was not caught: {name} (seen: {', '.join(sorted(seen)) or 'nothing'})"))
    return Outcome(len(caught), len(MUTANTS), 0, 0, 0, found, f"caught: {', '.join(caught)}")


def too_late(name: str, seconds: float) -> list[Violation]:
    """Return a violation when a mutant was detected too late."""
    if seconds <= CATCH_SECONDS:
        return []
    return [Violation("time", f"{name}: caught after {seconds:.1f} s, the limit is {CATCH_SECONDS} s")]


def execute_ddl(*statements: str) -> None:
    """Run DDL statements in the scratch database."""
    scratch_database.require_scratch_database()
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def at_once(actions: list[Callable[[], Any]]) -> None:
    """Run each in a thread with its own connection, all released at the same time."""
    barrier = threading.Barrier(len(actions))

    def one(action: Callable[[], Any]) -> None:
        connection.ensure_connection()
        barrier.wait()
        try:
            action()
        finally:
            connection.close()

    threads = [threading.Thread(target=one, args=(action,)) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def without_lock(fixture: RaceFixture) -> list[Any]:
    """Check first and write later, without the constraints that would refuse a second claim."""
    mutant.remove_guards()
    clients = [ClaimClient(mutant.Unguarded(), number, 0) for number in range(len(fixture.participants))]
    at_once(
        [
            partial(client.ask, "asset", fixture.credits[0], participant, None)
            for client, participant in zip(clients, fixture.participants, strict=True)
        ]
    )
    return [attempt for client in clients for attempt in client.log]


def without_unique(fixture: RaceFixture) -> list[Any]:
    """Write the entry twice, as a retry inside a transaction would, without the index that refuses it."""
    execute_ddl("DROP INDEX entry_one_claim_per_asset")
    client = ClaimClient(DirectTransport(), 0, 0)
    client.ask("asset", fixture.credits[0], fixture.participants[0], None)
    entry = Entry.objects.get()
    columns = {name: getattr(entry, name) for name in ("asset_id", "user_id", "actor_id", "amount", "currency", "claimed_at")}
    Entry.objects.create(kind=EntryKind.CLAIM, **columns)
    return client.log


class Forgetful(DirectTransport):
    """Claims with a key without checking whether the key was used before."""

    def pool(self, participant: Any, pool: str, key: str) -> Any:
        """Claim, and lose the first response for each key."""
        with transaction.atomic():
            asset = CashbackAsset.objects.claimable().filter(pool=UUID(pool)).select_for_update(skip_locked=True).first()
            assert asset is not None
            request = pool_request(participant, pool, key)
            idempotency.reserve_keys([request])  # without looking at whether it was reserved
            claim = record_claim(asset, user_of(participant), request)
        return ClaimResponse("ok", 201, "201", claim.receipt) if key in self.lost else self.lose(key)

    def __init__(self) -> None:
        super().__init__()
        self.lost: set[str] = set()

    def lose(self, key: str) -> Any:
        """Lose the response."""
        self.lost.add(key)
        return ClaimResponse("unknown", None, "lost")


def without_keys(fixture: RaceFixture) -> list[Any]:
    """Answer a retry with a second claim."""
    execute_ddl("ALTER TABLE ledger_entry DROP CONSTRAINT entry_request_key")
    client = ClaimClient(Forgetful(), 0, 0)
    client.request_until_answered("pool", fixture.pool, fixture.participants[0], "a-key-without-memory")
    return client.log


def without_clock(fixture: RaceFixture) -> list[Any]:
    """Let the web's clock, read before the wait for a lock, decide; the table's own check and trigger are gone."""
    execute_ddl(
        "DROP TRIGGER " + trigger_name("asset_claimed") + " ON assets_cashbackasset",
        "ALTER TABLE assets_cashbackasset DROP CONSTRAINT asset_claimed_before_expiry",
    )
    asset = issue_assets.issue_asset(
        None, title="Late", total_value=VALUE, currency="INR", expires_at=timezone.now() + timedelta(seconds=1)
    )
    with transaction.atomic():
        locked = CashbackAsset.objects.select_for_update().get(pk=asset.pk)
        time.sleep(1.1)
        changes = {"status": "CLAIMED", "claimed_by_id": UUID(fixture.participants[0].id), "claimed_at": timezone.now()}
        CashbackAsset.objects.filter(pk=locked.pk).update(**changes)
        locked.refresh_from_db()
        who = {"user_id": locked.claimed_by_id, "actor_id": locked.claimed_by_id, "claimed_at": locked.claimed_at}
        Entry.objects.create(asset=locked, amount=locked.total_value, currency=locked.currency, **who)
    return []


def trigger_name(name: str) -> str:
    """Return the full name of one of our triggers."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT tgname FROM pg_trigger WHERE tgname LIKE %s", [f"pgtrigger_{name}_%"])
        return str(cursor.fetchone()[0])


@contextmanager
def sealed_by_id() -> Iterator[None]:
    """Seal whatever is there with an id after the last one, as if ids were given in the order of commits."""
    right = seal_ledger.closed_rows

    def closed_rows(start: int, end: int) -> tuple[list[tuple[Any, ...]], int]:
        rows = list(Entry.objects.filter(xid__gte=start).order_by("xid", "id").values_list(*signing.LEAF_COLUMNS))
        return rows, rows[-1][-1] + 1 if rows else end

    seal_ledger.closed_rows = closed_rows
    try:
        yield
    finally:
        seal_ledger.closed_rows = right


def sealing_by_id(fixture: RaceFixture) -> list[Any]:
    """Seal while an older transaction is still open, which then commits; the table's own refusal is gone."""
    execute_ddl("DROP TRIGGER " + trigger_name("seal_follows") + " ON ledger_seal")
    first, second = (UUID(credit) for credit in fixture.credits[:2])
    begun, sealed = threading.Event(), threading.Event()

    def late() -> None:
        with transaction.atomic():
            asset = CashbackAsset.objects.select_for_update(no_key=True).get(pk=first)
            record_claim(asset, user_of(fixture.participants[0]), None)
            begun.set()
            sealed.wait()
        connection.close()

    thread = threading.Thread(target=late)
    thread.start()
    begun.wait()
    claim_asset(second, user_of(fixture.participants[1]))
    with sealed_by_id():
        seal_ledger.seal_all()
    sealed.set()
    thread.join()
    return []


# The mutant, its function, and the invariant that must detect it.
MUTANTS: dict[str, tuple[Callable[[RaceFixture], list[Any]], str]] = {
    "lock removed": (without_lock, "I1"),
    "unique index dropped": (without_unique, "I1"),
    "keys forgotten": (without_keys, "I7"),
    "clock not asked": (without_clock, "I6"),
    "sealed by id": (sealing_by_id, "I8"),
    **MONEY_MUTANTS,
}
