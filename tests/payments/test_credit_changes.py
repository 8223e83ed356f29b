"""/grants/, and clawback and extension of claims."""

from collections.abc import Callable, Sequence
from uuid import uuid4

import pytest

from accounts.models import User
from accounts.service_keys import NewKey
from tests.api.conftest import Caller
from tests.money.conftest import change_dates, kinds, money, soon
from tests.payments.conftest import post, problem, with_key
from wallet.assets.models import CashbackAsset, CreditPool
from wallet.ledger.models import Entry, IdempotencyKey, Lot

pytestmark = pytest.mark.django_db(transaction=True)
Credit = Callable[..., Lot]


@pytest.fixture
def pool(open_pool: Callable[..., CreditPool], issue: Callable[..., CashbackAsset]) -> CreditPool:
    pool = open_pool()
    for _ in range(3):
        issue(pool=pool)
    return pool


def gift(pool: CreditPool, **fields: str) -> dict[str, str]:
    return {"user": "alice@example.com", "pool": str(pool.pk), "reference": "ticket-1", "reason": "goodwill"} | fields


def test_a_service_and_an_operator_grant_once_per_reference(
    as_shop: Caller, as_ada: Caller, alice: User, pool: CreditPool
) -> None:
    for caller, name in ((as_shop, str(alice.pk)), (as_ada, "alice@example.com")):
        first, again = (post(caller, "grants/", gift(pool, user=name), uuid4().hex) for _ in range(2))
        assert (first.status_code, again.status_code) == (201, 200)
        assert again.json() == first.json()
        assert problem(post(caller, "grants/", gift(pool, user=name, reason="other"))) == (409, "reference_used")
    assert Entry.objects.filter(user=alice).count() == 2


def test_a_key_grants_once_and_is_for_one_request(as_shop: Caller, as_ada: Caller, alice: User, pool: CreditPool) -> None:
    for caller in (as_shop, as_ada):
        key, other = uuid4().hex, gift(pool, reference="ticket-2")
        first, again = (post(caller, "grants/", gift(pool), key) for _ in range(2))
        assert (first.status_code, again.status_code) == (201, 201)
        assert again.content == first.content
        assert "Idempotency-Replayed" not in first.headers
        assert again.headers["Idempotency-Replayed"] == "true"
        assert problem(post(caller, "grants/", other, key)) == (422, "idempotency_key_reused")
    assert Entry.objects.filter(user=alice).count() == 2


def test_a_refused_grant_leaves_its_key_free(as_shop: Caller, alice: User, pool: CreditPool) -> None:
    key = uuid4().hex
    assert problem(post(as_shop, "grants/", gift(pool, user="nobody@example.com"), key)) == (404, "not_found")
    assert problem(post(as_shop, "grants/", gift(pool) | {"pool": str(uuid4())}, key)) == (404, "not_found")

    assert post(as_shop, "grants/", gift(pool), key).status_code == 201


def test_a_grant_to_nobody_or_from_nothing_is_404(as_shop: Caller, as_ada: Caller, pool: CreditPool, alice: User) -> None:
    for caller in (as_shop, as_ada):
        for wrong in ({"user": "nobody@example.com"}, {"pool": str(uuid4())}):
            assert problem(post(caller, "grants/", gift(pool) | wrong)) == (404, "not_found")
    assert Entry.objects.count() == 0


def gifts(pool: CreditPool, *people: str, then: Sequence[dict[str, str]] = ()) -> dict[str, object]:
    lines = [{"user": name, "reference": f"r-{number}"} for number, name in enumerate(people)]
    return {"pool": str(pool.pk), "reason": "goodwill", "lines": [*lines, *then]}


def test_a_list_is_granted_line_by_line_with_a_report(
    as_shop: Caller, as_ada: Caller, alice: User, bob: User, pool: CreditPool
) -> None:
    body = gifts(pool, "alice@example.com", "nobody@example.com", str(bob.pk))
    for caller in (as_shop, as_ada):
        first, again = (post(caller, "grants/batch/", body).json() for _ in range(2))
        told = {name: first[name] for name in ("granted", "already_granted", "refused")}
        if caller is as_shop:
            assert told == {"granted": 2, "already_granted": 0, "refused": 1}
            assert [line["code"] for line in first["lines"]] == [None, "not_found", None]
        else:  # the pool has three credits, and references are the caller's own
            assert told == {"granted": 1, "already_granted": 0, "refused": 2}
            assert [line["code"] for line in first["lines"]] == [None, "not_found", "pool_sold_out"]
        assert again["granted"] == 0
        assert [line["claim"] for line in again["lines"]] == [line["claim"] for line in first["lines"]]
    assert Entry.objects.count() == 3


def test_a_preview_of_a_list_reports_each_line_and_changes_nothing(
    as_shop: Caller, as_ada: Caller, alice: User, bob: User, pool: CreditPool
) -> None:
    people = ["alice@example.com", "nobody@example.com", *[str(bob.pk)] * 3]
    repeated = {"user": "bob@example.com", "reference": "r-4"}  # the line that finds no credit
    body, key = gifts(pool, *people, then=[repeated]), uuid4().hex
    for caller in (as_ada, as_shop):
        before = money(), IdempotencyKey.objects.count()

        preview = post(caller, "grants/batch/", body | {"preview": True}, key)

        assert preview.status_code == 200
        assert "Idempotency-Replayed" not in preview.headers
        told = preview.json()
        assert [told[name] for name in ("granted", "already_granted", "refused")] == [3, 0, 3]
        codes = [None, "not_found", None, None, "pool_sold_out", "pool_sold_out"]
        assert [line["code"] for line in told["lines"]] == codes
        assert {line["claim"] for line in told["lines"]} == {None}
        assert (money(), IdempotencyKey.objects.count()) == before
    done = post(as_ada, "grants/batch/", body, key)
    assert "Idempotency-Replayed" not in done.headers
    assert [line["code"] for line in done.json()["lines"]] == codes
    told = post(as_ada, "grants/batch/", body | {"preview": True}, key).json()
    assert [told[name] for name in ("granted", "already_granted", "refused")] == [0, 3, 3]


def test_a_preview_is_refused_as_its_list_would_be(as_shop: Caller, as_alice: Caller, alice: User, pool: CreditPool) -> None:
    body = gifts(pool, "alice@example.com") | {"preview": True}

    assert problem(post(as_alice, "grants/batch/", body)) == (403, "permission_denied")
    assert problem(post(as_shop, "grants/batch/", body | {"pool": str(uuid4())})) == (404, "not_found")
    assert problem(post(as_shop, "grants/batch/", body, "short")) == (400, "invalid")
    CreditPool.objects.filter(pk=pool.pk).update(approval_threshold=1)
    assert problem(post(as_shop, "grants/batch/", body)) == (409, "approval_required")


def test_a_key_gets_the_first_report_of_a_list_again(as_ada: Caller, as_shop: Caller, alice: User, pool: CreditPool) -> None:
    body, key = gifts(pool, "alice@example.com"), uuid4().hex
    for caller in (as_ada, as_shop):
        first, again = (post(caller, "grants/batch/", body, key) for _ in range(2))

        assert (first.status_code, again.status_code, again.content) == (200, 200, first.content)
        assert again.headers["Idempotency-Replayed"] == "true"
        assert problem(post(caller, "grants/batch/", body | {"reason": "other"}, key)) == (422, "idempotency_key_reused")


def test_a_list_is_bounded_and_needs_the_scope(
    new_key: Callable[..., NewKey], as_shop: Caller, as_alice: Caller, alice: User, pool: CreditPool
) -> None:
    assert problem(post(as_shop, "grants/batch/", gifts(pool))) == (400, "invalid")
    assert problem(post(as_shop, "grants/batch/", gifts(pool, *["alice@example.com"] * 501))) == (400, "invalid")
    assert problem(post(as_shop, "grants/batch/", gifts(pool, "alice@example.com") | {"pool": str(uuid4())})) == (
        404,
        "not_found",
    )
    assert problem(post(as_alice, "grants/batch/", gifts(pool, "alice@example.com"))) == (403, "permission_denied")
    reader = with_key(new_key("payments:read").text)
    assert problem(post(reader, "grants/batch/", gifts(pool, "alice@example.com"))) == (403, "scope_missing")
    assert Entry.objects.count() == 0


def test_a_clawback_is_previewed_and_then_taken_once_per_key(as_ada: Caller, credit: Credit) -> None:
    lot = credit("100")
    path, body, key = f"claims/{lot.pk}/clawback/", {"amount": "30.00", "reason": "fraud", "note": "see ticket"}, uuid4().hex
    before = money()

    preview = post(as_ada, path, body | {"preview": True})
    assert (preview.status_code, preview.json()) == (200, {"amount": "30.00", "shortfall": "0.00"})
    assert money() == before
    first, again = (post(as_ada, path, body, key) for _ in range(2))

    assert (first.status_code, again.content, kinds()) == (201, first.content, ["CLAWBACK"])
    too_much = post(as_ada, path, body | {"amount": "70.01"})
    assert problem(too_much) == (409, "exceeds_claim")
    assert too_much.json()["available"] == "70.00"
    assert too_much.json()["detail"].endswith("Claw back no more than 70.00 INR.")
    assert problem(post(as_ada, path, body | {"amount": "0.00"})) == (400, "invalid_amount")


def test_a_service_takes_back_once_per_key_what_it_granted_and_nothing_else(
    as_shop: Caller, as_other_shop: Caller, credit: Credit, pool: CreditPool
) -> None:
    own, foreign = post(as_shop, "grants/", gift(pool)).json()["id"], credit("100").pk
    body, key = {"amount": "10.00", "reason": "returned"}, uuid4().hex

    first, again = (post(as_shop, f"claims/{own}/clawback/", body, key) for _ in range(2))

    assert (first.status_code, again.content, kinds()) == (201, first.content, ["CLAWBACK"])
    assert problem(post(as_shop, f"claims/{own}/clawback/", body | {"amount": "1.00"}, key)) == (422, "idempotency_key_reused")
    for caller, claim in ((as_shop, foreign), (as_other_shop, own)):
        for verb, more in (("clawback", {}), ("extend", {"until": "2099-01-01T00:00:00Z"})):
            assert problem(post(caller, f"claims/{claim}/{verb}/", {"reason": "returned"} | more)) == (404, "not_found")
    assert kinds() == ["CLAWBACK"]


def test_a_credit_is_extended_after_a_preview_and_never_shortened(as_ada: Caller, credit: Credit) -> None:
    lot, end = credit("100"), soon(days=2)
    change_dates(lot, "spendable_until = %s", end)
    path, body = f"claims/{lot.pk}/extend/", {"until": "2099-01-01T00:00:00Z", "reason": "goodwill"}

    preview = post(as_ada, path, body | {"preview": True})
    assert (preview.status_code, preview.json()["spendable_until"], kinds()) == (200, body["until"], [])
    assert post(as_ada, path, body).json()["spendable_until"] == body["until"]
    for preview_too in ({}, {"preview": True}):
        assert problem(post(as_ada, path, body | {"until": "2098-01-01T00:00:00Z"} | preview_too)) == (409, "not_later")
    assert kinds() == ["EXTEND"]
