"""Random sequences of operations against a dictionary as the model: the same results and state; a refusal changes nothing.

PROVE_SEQUENCES sets the number of sequences, PROVE_SEED the seed.
"""

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import count
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test

from accounts.models import User
from kernel.refusals import Refusal
from wallet.actions import edit_asset, edit_pool, issue_assets, recreate_asset
from wallet.actions.claim import claim_asset, claim_from_pool
from wallet.assets.models import CashbackAsset
from wallet.ledger.idempotency import IdempotentRequest, fingerprint
from wallet.verification.checker import verify_everything

SEQUENCES = int(os.environ.get("PROVE_SEQUENCES", "60"))
SEED = os.environ.get("PROVE_SEED", "2026")
PARTS = 4  # so that two processes share the work
STEPS = 50
# Each table that an operation may write: the pool, its credits, their claims and responses, and their history.
ROWS = """
    SELECT concat_ws(';',
        (SELECT string_agg(row::text, ',') FROM assets_creditpool AS row WHERE id = %(pool)s),
        (SELECT string_agg(row::text, ',' ORDER BY id) FROM assets_cashbackasset AS row WHERE pool_id = %(pool)s),
        (SELECT string_agg(row::text, ',' ORDER BY id) FROM ledger_entry AS row WHERE user_id = ANY(%(users)s)),
        (SELECT string_agg(row::text, ',' ORDER BY key) FROM ledger_idempotencykey AS row WHERE user_id = ANY(%(users)s)),
        (SELECT string_agg(row::text, ',' ORDER BY pgh_id) FROM assets_creditpoolevent AS row WHERE pgh_obj_id = %(pool)s),
        (SELECT string_agg(row::text, ',' ORDER BY pgh_id) FROM assets_cashbackassetevent AS row WHERE pool_id = %(pool)s),
        (SELECT string_agg(row::text, ',' ORDER BY id) FROM assets_issuance AS row WHERE pool_id = %(pool)s),
        (SELECT count(*)::text FROM pghistory_context))
"""
names = count()
tally = Counter[str]()
pick = st.integers(0, 10**6)


@dataclass
class Credit:
    """The model of an asset."""

    status: str = "AVAILABLE"
    ends: bool = False
    owner: UUID | None = None
    recreated: bool = False


@dataclass
class Model:
    credits: dict[UUID, Credit] = field(default_factory=dict)
    answers: dict[tuple[UUID, str], dict[str, Any]] = field(default_factory=dict)
    limit: int | None = None

    def count_owned(self, user: UUID) -> int:
        return sum(credit.owner == user for credit in self.credits.values())

    def limit_reached(self, user: UUID) -> bool:
        return self.limit is not None and self.count_owned(user) >= self.limit


class Wallet(RuleBasedStateMachine):
    @initialize()
    def open(self) -> None:
        number = next(names)
        self.model = Model()
        self.pool = edit_pool.open_pool(None, name=f"Pool {number}", kind="SIGNUP", currency="INR")
        self.users = User.objects.bulk_create(User(email=f"user{number}-{n}@example.com", password="!") for n in range(3))
        for ends in (True, False, False):
            self.add(ends)

    def some(self, number: int) -> UUID:
        return list(self.model.credits)[number % len(self.model.credits)]

    def rows(self) -> str:
        """Return every row that an operation could have changed, as text."""
        users = [user.pk for user in self.users]
        with connection.cursor() as cursor:
            cursor.execute(ROWS, {"pool": self.pool.pk, "users": users})
            return str(cursor.fetchone()[0])

    def run_and_compare(self, expected: str, operation: Any) -> Any:
        """Run an operation and compare its result with the model's; a refusal must not change any row."""
        before = self.rows() if expected != "done" else ""
        code, result = "done", None
        try:
            result = operation()
        except Refusal as refusal:
            code = refusal.code
        assert code == expected
        assert code == "done" or self.rows() == before
        tally["refusals"] += code != "done"
        return result

    @rule(ends=st.booleans())
    def issue(self, ends: bool) -> None:
        self.add(ends)

    def add(self, ends: bool) -> None:
        asset = issue_assets.issue_asset(None, title="Credit", total_value=Decimal("10.00"), pool=self.pool)
        if ends:
            self.sql(
                "UPDATE assets_cashbackasset SET expires_at = clock_timestamp() + interval '1 hour' WHERE id = %s", asset.pk
            )
        self.model.credits[asset.pk] = Credit(ends=ends)

    @precondition(lambda self: self.model.credits)
    @rule(number=pick, who=st.integers(0, 2))
    def claim(self, number: int, who: int) -> None:
        asset, user = self.some(number), self.users[who]
        credit = self.model.credits[asset]
        expected = {"EXPIRED": "asset_expired", "DUE": "asset_expired"}.get(credit.status, "done")
        if credit.owner:
            expected = "done" if credit.owner == user.pk else "asset_already_claimed"
        elif credit.status != "EXPIRED" and self.model.limit_reached(user.pk):
            expected = "claim_limit_reached"
        if self.run_and_compare(expected, lambda: claim_asset(asset, user)):
            credit.status, credit.owner = "CLAIMED", user.pk
            tally["claims"] += 1

    @rule(who=st.integers(0, 2))
    def claim_any(self, who: int) -> None:
        user, key = self.users[who], f"key-number-{next(names):010}"
        left = [asset for asset, credit in self.model.credits.items() if credit.status == "AVAILABLE"]
        expected = "pool_sold_out" if not left else "claim_limit_reached" if self.model.limit_reached(user.pk) else "done"
        if claim := self.run_and_compare(expected, lambda: claim_from_pool(self.pool.pk, user, self.request(user, key))):
            credit = self.model.credits[UUID(claim.receipt["asset"])]
            assert credit.status == "AVAILABLE"
            assert credit.ends or not any(self.model.credits[asset].ends for asset in left)
            credit.status, credit.owner = "CLAIMED", user.pk
            tally["claims"] += 1
            self.model.answers[user.pk, key] = claim.receipt

    @precondition(lambda self: self.model.answers)
    @rule(number=pick)
    def replay(self, number: int) -> None:
        (user_id, key), receipt = list(self.model.answers.items())[number % len(self.model.answers)]
        user = next(user for user in self.users if user.pk == user_id)
        before = self.rows()

        claim = claim_from_pool(self.pool.pk, user, self.request(user, key))

        assert (claim.receipt, claim.replayed) == (receipt, True)
        assert self.rows() == before

    @precondition(lambda self: self.model.credits)
    @rule(number=pick)
    def expire(self, number: int) -> None:
        asset = self.some(number)
        credit = self.model.credits[asset]
        expected = "done" if credit.status == "AVAILABLE" else "asset_not_available"
        if self.run_and_compare(expected, lambda: edit_asset.expire_asset(asset, None)):
            credit.status = "EXPIRED"

    @precondition(lambda self: self.model.credits)
    @rule(number=pick)
    def recreate(self, number: int) -> None:
        asset = self.some(number)
        credit = self.model.credits[asset]
        ended = credit.status in ("EXPIRED", "DUE")
        expected = "asset_not_expired" if not ended else "already_recreated" if credit.recreated else "done"
        if child := self.run_and_compare(expected, lambda: recreate_asset.recreate_asset(asset, None, expires_at=None)):
            credit.status, credit.recreated = "EXPIRED", True
            self.model.credits[child.pk] = Credit()

    @rule(limit=st.none() | st.integers(1, 4))
    def change_limit(self, limit: int | None) -> None:
        edit_pool.update_pool(self.pool.pk, None, per_user_limit=limit)
        self.model.limit = limit

    @rule()
    def advance_clock(self) -> None:
        """Advance past the expiry of some credits."""
        self.sql(
            "UPDATE assets_cashbackasset SET expires_at = clock_timestamp() - interval '1 second'"
            " WHERE pool_id = %s AND status = 'AVAILABLE' AND expires_at > clock_timestamp()",
            self.pool.pk,
        )
        for credit in self.model.credits.values():
            if credit.status == "AVAILABLE" and credit.ends:
                credit.status = "DUE"

    @invariant()
    def the_table_equals_the_model(self) -> None:
        if not hasattr(self, "model"):
            return
        connection.check_constraints()
        table = CashbackAsset.objects.filter(pool=self.pool).values_list("pk", "status", "claimed_by")
        expected = {
            pk: ("AVAILABLE" if credit.status == "DUE" else credit.status, credit.owner)
            for pk, credit in self.model.credits.items()
        }
        assert {pk: (status, owner) for pk, status, owner in table} == expected

    def teardown(self) -> None:
        # All of it is one transaction, whose changes of the limit have the same time: I9 cannot order them.
        assert [violation for violation in verify_everything(connection) if violation.invariant != "I9"] == []

    def request(self, user: User, key: str) -> IdempotentRequest:
        return IdempotentRequest(user, "claim", key, fingerprint("pool", self.pool.pk))

    def sql(self, statement: str, *values: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute(statement, values)


@pytest.mark.django_db
@pytest.mark.parametrize("part", range(PARTS))
def test_any_sequence_of_operations_equals_the_model(
    part: int, record_property: Callable[[str, object], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    record_property("proof", "P1")
    tally.clear()
    run_state_machine_as_test(
        seed(f"{SEED}/{part}")(Wallet),
        settings=settings(
            max_examples=SEQUENCES // PARTS,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    record_property("count", SEQUENCES // PARTS)
    record_property("claims", tally["claims"])
    record_property("note", f"sequences of up to {STEPS} operations; a refusal changed no row")
    assert tally["claims"] > 0
    assert tally["refusals"] > 0
