"""Six ways to rewrite the ledger as a superuser with all triggers off: each is detected, with the row."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from accounts.models import User
from wallet.actions import seal_ledger
from wallet.ledger import signing
from wallet.ledger.models import Entry, Seal
from wallet.verification.seals import seal_violations

Attack = Callable[..., None]

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def entries(make_claims: Callable[[int], list[str]]) -> list[str]:
    """Nine entries under three seals, in which nothing is wrong."""
    made: list[str] = []
    for _ in range(3):
        made += make_claims(3)
        seal_ledger.seal_all()
    assert list(seal_violations()) == []
    return made


def test_a_changed_value_is_found(entries: list[str], attack: Attack) -> None:
    attack("UPDATE ledger_entry SET amount = amount + 0.01 WHERE id = %s", entries[4])

    assert list(seal_violations()) == [f"entry {entries[4]} was changed after seal 2 was made"]


def test_a_deleted_entry_is_found(entries: list[str], attack: Attack) -> None:
    attack("DELETE FROM ledger_entry WHERE id = %s", entries[4])

    assert list(seal_violations()) == [f"entry {entries[4]} was deleted after seal 2 was made"]


def test_an_inserted_entry_is_found(entries: list[str], attack: Attack) -> None:
    forged = "01900000-0000-7000-8000-000000000000"
    attack("DROP INDEX entry_one_claim_per_asset")
    attack(
        "INSERT INTO ledger_entry (id, kind, asset_id, user_id, amount, currency, claimed_at, actor_id, xid)"
        " SELECT %s, kind, asset_id, user_id, amount, currency, claimed_at, actor_id, xid FROM ledger_entry WHERE id = %s",
        forged,
        entries[4],
    )

    found = list(seal_violations())
    attack("DELETE FROM ledger_entry WHERE id = %s", forged)
    attack("CREATE UNIQUE INDEX entry_one_claim_per_asset ON ledger_entry (asset_id) WHERE kind = 'CLAIM'")

    assert found == [f"entry {forged} was inserted after seal 2 was made"]


def test_two_swapped_entries_are_found(entries: list[str], attack: Attack) -> None:
    swap = "UPDATE ledger_entry SET xid = CASE id WHEN %s THEN b.xid ELSE a.xid END"
    attack(
        f"{swap} FROM (SELECT xid FROM ledger_entry WHERE id = %s) a, (SELECT xid FROM ledger_entry WHERE id = %s) b"
        " WHERE id IN (%s, %s)",
        entries[3],
        entries[3],
        entries[5],
        entries[3],
        entries[5],
    )

    changed = {f"entry {entry} was changed after seal 2 was made" for entry in (entries[3], entries[5])}
    assert set(seal_violations()) == changed


@pytest.mark.parametrize(
    "change",
    [
        "count = 2, leaves = substring(leaves for 96)",
        'sums = \'{"INR": "1.00"}\'',
        "root = decode(repeat('00', 32), 'hex')",
        "sealed_at = now()",
        "seq = 4",
    ],
)
def test_a_rewritten_seal_is_found(entries: list[str], attack: Attack, change: str) -> None:
    attack(f"UPDATE ledger_seal SET {change} WHERE seq = 3")

    found = list(seal_violations())

    assert f"seal {4 if change.startswith('seq') else 3} has no valid signature of a trusted key" in found


def test_a_deleted_seal_is_found(entries: list[str], attack: Attack) -> None:
    attack("DELETE FROM ledger_seal WHERE seq = 2")

    assert list(seal_violations()) == ["seal 3 does not follow the seal before it"]


def test_leaves_rewritten_to_fit_a_changed_entry_are_found(entries: list[str], attack: Attack) -> None:
    attack("UPDATE ledger_entry SET amount = 1 WHERE id = %s", entries[4])
    attack("UPDATE ledger_seal SET leaves = %s WHERE seq = 2", remade(2).leaves)

    assert list(seal_violations()) == [
        "seal 2 has leaves that do not match its root",
        "seal 2 has sums that differ from its entries",
    ]


def remade(seq: int) -> Seal:
    """Return the seal that an attacker who holds the key would make over the entries as they are now."""
    old, last = Seal.objects.get(seq=seq), Seal.objects.filter(seq=seq - 1).first()
    rows, _ = seal_ledger.closed_rows(old.from_xid, old.to_xid)
    seal = seal_ledger.build_seal(rows, last, old.from_xid, old.to_xid)
    seal.sealed_at = old.sealed_at
    signing.sign_seal(seal)
    return seal


def test_a_whole_chain_rewritten_with_the_stolen_key_differs_from_its_published_copy(
    entries: list[str], attack: Attack, tmp_path: Path, alice: User
) -> None:
    copy = tmp_path / "seals.jsonl"
    copy.write_text("".join(json.dumps(signing.published_seal(seal)) + "\n" for seal in Seal.objects.order_by("seq")))
    attack("UPDATE ledger_entry SET amount = 1 WHERE id = %s", entries[4])
    for seq in (2, 3):
        seal = remade(seq)
        attack(
            "UPDATE ledger_seal SET previous_root = %s, root = %s, sums = %s, signature = %s, leaves = %s WHERE seq = %s",
            seal.previous_root,
            seal.root,
            seal.sums,
            seal.signature,
            seal.leaves,
            seq,
        )

    assert list(seal_violations()) == []
    assert list(seal_violations(published=copy)) == [f"seal {seq} differs from its published copy" for seq in (2, 3)]


def test_a_tail_cut_off_is_missed_by_its_published_copy(entries: list[str], attack: Attack, tmp_path: Path) -> None:
    copy = tmp_path / "seals.jsonl"
    copy.write_text(json.dumps(signing.published_seal(Seal.objects.get(seq=3))) + "\n")
    attack("DELETE FROM ledger_entry WHERE id = ANY(%s)", entries[6:])
    attack("DELETE FROM ledger_seal WHERE seq = 3")

    assert list(seal_violations()) == []
    assert list(seal_violations(published=copy)) == ["seal 3 was published but does not exist"]


def test_an_entry_left_unsealed_is_found(entries: list[str], make_claims: Callable[[int], list[str]], attack: Attack) -> None:
    (late,) = make_claims(1)
    attack("UPDATE ledger_entry SET claimed_at = claimed_at - interval '11 seconds' WHERE id = %s", late)

    (found,) = seal_violations()

    assert found.startswith(f"entry {late} is older than 10 s and not sealed")
    assert Entry.objects.count() == 10


def test_from_a_later_seal_on_the_earlier_are_taken_for_granted(entries: list[str], attack: Attack) -> None:
    attack("UPDATE ledger_entry SET amount = 1 WHERE id = %s", entries[0])

    assert list(seal_violations(since=2)) == []
    assert len(list(seal_violations(since=1))) == 1
