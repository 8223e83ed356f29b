"""Closed ranges are sealed completely, once, in order."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import psycopg
import pytest
import time_machine
from django.db import IntegrityError, connection, transaction
from django.utils import timezone
from pytest_django import Settings

from accounts.models import User
from kernel.transactions import violated_constraint
from tests.concurrency import at_once
from wallet.actions import seal_ledger
from wallet.actions.claim import claim_asset
from wallet.actions.claim_batch import BY_ASSET, run_claim_batch
from wallet.actions.claim_decisions import ClaimRequest
from wallet.assets.models import CashbackAsset
from wallet.ledger import merkle, signing
from wallet.ledger.models import Entry, Seal
from wallet.queries.inclusion_proof import NotSealedYet, inclusion_proof, unpack_leaves
from wallet.verification import seals
from wallet.verification.seals import seal_violations

MakeClaims = Callable[[int], list[str]]

pytestmark = pytest.mark.django_db(transaction=True)


def sealed_ids() -> list[str]:
    return [str(entry) for seal in Seal.objects.order_by("seq") for entry in map(as_uuid, unpack_leaves(seal)[0])]


def as_uuid(raw: bytes) -> Any:
    return Entry(id=raw.hex())._meta.pk.to_python(raw.hex())


def test_a_seal_holds_every_closed_entry_with_its_sum(make_claims: MakeClaims) -> None:
    made = make_claims(5)

    (seal,) = seal_ledger.seal_all()

    assert (seal.seq, seal.count, json.loads(seal.sums)) == (1, 5, {"INR": "500.00"})
    assert sorted(sealed_ids()) == sorted(made)
    assert bytes(seal.previous_root) == merkle.EMPTY_ROOT
    assert signing.is_signature_valid(seal)


@pytest.mark.parametrize("wrong_by", [timedelta(days=2), timedelta(days=-2)])
def test_a_seal_has_the_time_of_the_database_whatever_the_clock_of_its_host_says(
    make_claims: MakeClaims, wrong_by: timedelta
) -> None:
    make_claims(1)

    with time_machine.travel(timezone.now() + wrong_by, tick=True):
        seal_ledger.seal_all()

    assert abs(Seal.objects.get().sealed_at - timezone.now()) < timedelta(minutes=1)


def test_seals_follow_one_another_without_a_gap(make_claims: MakeClaims) -> None:
    made = []
    for _ in range(3):
        made += make_claims(2)
        seal_ledger.seal_all()

    first, second, third = Seal.objects.order_by("seq")
    assert (second.from_xid, third.from_xid) == (first.to_xid, second.to_xid)
    assert (bytes(second.previous_root), bytes(third.previous_root)) == (bytes(first.root), bytes(second.root))
    assert sorted(sealed_ids()) == sorted(made)
    assert list(seal_violations()) == []


@pytest.mark.parametrize("key", ["plain-key-of-mine", 'quo"te\\back/slash', "tab\tand\nline", "naïve 🔑", "\x7f\u2028", None])
def test_checker_reads_sealed_entries_with_any_request_key(
    make_claims: MakeClaims, attack: Callable[..., None], key: str | None
) -> None:
    """PostgreSQL writes JSON in other letters than Python does: what is no plain text is read again, and written by Python."""
    first, _ = make_claims(2)
    attack("UPDATE ledger_entry SET request_key = %s WHERE id = %s", key, first)
    seal_ledger.seal_all()
    assert list(seal_violations()) == []

    attack("UPDATE ledger_entry SET request_key = 'another' WHERE id = %s", first)

    assert list(seal_violations()) == [f"entry {first} was changed after seal 1 was made"]


def test_timestamp_at_a_full_second_hashes_as_sealed(make_claims: MakeClaims, attack: Callable[..., None]) -> None:
    (entry,) = make_claims(1)
    attack("UPDATE ledger_entry SET claimed_at = date_trunc('second', claimed_at) WHERE id = %s", entry)
    seal_ledger.seal_all()

    assert list(seal_violations()) == []


def test_nearly_all_is_read_in_the_letters_of_postgresql(make_claims: MakeClaims, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or a large ledger would take minutes."""
    make_claims(3)
    seal_ledger.seal_all()
    monkeypatch.setattr(seals, "exact_leaves", lambda *_: pytest.fail("an entry was read twice"))

    assert list(seal_violations()) == []


def test_nothing_new_makes_no_seal(make_claims: MakeClaims) -> None:
    make_claims(1)
    seal_ledger.seal_all()

    assert seal_ledger.seal_all() == []


def test_an_entry_waits_while_an_older_transaction_is_open(make_claims: MakeClaims, elsewhere: psycopg.Connection[Any]) -> None:
    """What commits late is never skipped: the range stays open below it."""
    elsewhere.execute("SELECT pg_current_xact_id()")
    made = make_claims(3)

    assert seal_ledger.seal_all() == []
    elsewhere.commit()
    seal_ledger.seal_all()

    assert sorted(sealed_ids()) == sorted(made)


def test_a_long_range_is_sealed_in_parts_that_split_no_transaction(
    make_claims: MakeClaims, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seal_ledger, "MAX_LEAVES", 3)
    made = make_claims(8)

    seals = seal_ledger.seal_all()

    assert [seal.count for seal in seals] == [3, 3, 2]
    assert sorted(sealed_ids()) == sorted(made)
    assert list(seal_violations()) == []


def test_a_transaction_that_holds_more_than_a_seal_is_sealed_whole(
    make_claims: MakeClaims, issue: Callable[..., CashbackAsset], alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seal_ledger, "MAX_LEAVES", 3)
    before = make_claims(2)
    wanted, following = [ClaimRequest(issue().pk, alice) for _ in range(5)], issue()
    large = [outcome.receipt["id"] for outcome in run_claim_batch(BY_ASSET, wanted)]  # type: ignore[union-attr]
    after = [claim_asset(following.pk, alice).receipt["id"]]  # by the very next transaction

    seals = seal_ledger.seal_all()

    assert [seal.count for seal in seals] == [2, 5, 1]
    assert [sorted(sealed_ids()[start:end]) for start, end in ((0, 2), (2, 7), (7, 8))] == [
        *map(sorted, (before, large, after))
    ]
    assert list(seal_violations()) == []


def test_sealers_at_once_make_one_chain(make_claims: MakeClaims) -> None:
    made = make_claims(6)

    sealed = at_once(lambda _: seal_ledger.seal_all(), range(8))

    assert [len(seals) for seals in sealed if isinstance(seals, list) and seals] == [
        1
    ]  # a sealer that comes too late has nothing to say
    assert sorted(sealed_ids()) == sorted(made)
    assert list(seal_violations()) == []


def test_advisory_lock_of_another_session_does_not_stop_sealing(
    make_claims: MakeClaims, elsewhere: psycopg.Connection[Any]
) -> None:
    """Whoever connects can hold any advisory lock, for as long as they like."""
    elsewhere.execute("SELECT pg_advisory_lock(objid) FROM unnest(ARRAY[0, 1, 24225]) AS objid")  # 24225: the sealers' once
    make_claims(2)

    assert [seal.count for seal in seal_ledger.seal_all()] == [2]


def test_a_seal_that_another_is_about_to_write_leaves_nothing_to_do(
    make_claims: MakeClaims, elsewhere: psycopg.Connection[Any]
) -> None:
    make_claims(1)
    seal_ledger.seal_all()
    made = make_claims(1)
    rest = "root, count, sums, sealed_at, public_key, signature, leaves"
    elsewhere.execute(
        f"INSERT INTO ledger_seal (seq, previous_root, from_xid, to_xid, {rest})"
        f" SELECT 2, root, to_xid, pg_snapshot_xmin(pg_current_snapshot()), {rest} FROM ledger_seal"
    )

    assert seal_ledger.seal_all() == []
    elsewhere.rollback()

    assert [seal.seq for seal in seal_ledger.seal_all()] == [2]
    assert sealed_ids()[-1:] == made


def test_two_concurrent_sealers_never_fail(make_claims: MakeClaims) -> None:
    """Neither meets the rules that refuse a second seal in the same place: one seals, and the other finds nothing to do."""
    for number in range(1, 13):
        made = set(make_claims(2))

        outcomes = at_once(lambda _: seal_ledger.seal_all(), range(2))

        assert [outcome for outcome in outcomes if isinstance(outcome, Exception)] == []
        assert [len(outcome) for outcome in outcomes if outcome] == [1]  # type: ignore[arg-type]
        assert Seal.objects.count() == number
        assert made <= set(sealed_ids())
    assert list(seal_violations()) == []


def test_sealing_under_claims_skips_none_and_doubles_none(
    issue: Callable[..., CashbackAsset], make_users: Callable[[int], list[User]]
) -> None:
    users = make_users(6)
    assets = [[issue() for _ in range(15)] for _ in users]

    def run(work: Any) -> list[Any]:
        if work is None:
            return [seal_ledger.seal_all() for _ in range(30)]
        user, his = work
        return [claim_asset(asset.pk, user) for asset in his]

    at_once(run, [*zip(users, assets, strict=True), None, None])
    seal_ledger.seal_all()

    assert sorted(sealed_ids()) == sorted(str(pk) for pk in Entry.objects.values_list("pk", flat=True))
    assert Entry.objects.count() == 90
    assert list(seal_violations()) == []


@pytest.mark.parametrize("count", [1, 2, 7])
def test_each_claim_has_a_proof(make_claims: MakeClaims, count: int) -> None:
    make_claims(count)
    seal_ledger.seal_all()

    for entry in Entry.objects.all():
        proof = inclusion_proof(entry)
        leaf = merkle.leaf_hash(proof["leaf"].encode())
        path = [bytes.fromhex(sibling) for sibling in proof["path"]]
        root = merkle.root_from_path(leaf, proof["index"], proof["seal"]["count"], path)
        assert root == bytes.fromhex(proof["seal"]["root"])
        assert json.loads(proof["leaf"])[0] == str(entry.pk)


def test_a_claim_that_is_not_sealed_has_no_proof_yet(make_claims: MakeClaims) -> None:
    make_claims(1)

    with pytest.raises(NotSealedYet):
        inclusion_proof(Entry.objects.get())


def test_a_key_that_was_replaced_is_still_trusted_when_it_is_named(make_claims: MakeClaims, settings: Settings) -> None:
    make_claims(1)
    (seal,) = seal_ledger.seal_all()
    settings.SEAL_SIGNING_KEY = "another key of at least thirty-two bytes"
    assert not signing.is_signature_valid(seal)

    settings.SEAL_PUBLIC_KEYS = [bytes(seal.public_key).hex()]

    assert signing.is_signature_valid(seal)


@pytest.mark.parametrize("attempt", ["UPDATE ledger_seal SET count = 9", "DELETE FROM ledger_seal", "TRUNCATE ledger_seal"])
def test_a_seal_never_changes(make_claims: MakeClaims, attempt: str) -> None:
    make_claims(1)
    seal_ledger.seal_all()

    with pytest.raises(IntegrityError) as refusal, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(attempt)

    assert violated_constraint(refusal.value) == "seal_append_only"
