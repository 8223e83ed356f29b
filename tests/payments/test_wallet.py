"""/wallet/, /wallet/lots/ and /wallet/history/."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from accounts.models import User
from tests.api.conftest import ROOT, Caller, wrong_fields
from tests.money.conftest import as_owner, change_dates, end_credit
from tests.payments.conftest import held, post, problem
from wallet.ledger.models import Lot

pytestmark = pytest.mark.django_db(transaction=True)
Credit = Callable[..., Lot]


def only(answer: Any) -> Any:
    assert answer.status_code == 200, answer.content
    (line,) = answer.json()["balances"]
    return line


def test_a_wallet_says_what_is_available_held_pending_and_ending_soon(
    as_alice: Caller, as_shop: Caller, credit: Credit
) -> None:
    credit("100")
    pending, ending = credit("30"), credit("20")
    soon = timezone.now().replace(microsecond=0) + timedelta(days=2)
    change_dates(pending, "spendable_from = now() + interval '1 day'")
    change_dates(ending, "spendable_until = %s", soon)
    held(as_shop, "50.00")

    line = only(as_alice.get(f"{ROOT}/wallet/"))

    # The hold took the credit that ends first, wholly.
    assert line == {
        "currency": "INR",
        "balance": "150.00",
        "available": "70.00",
        "held": "50.00",
        "pending": "30.00",
        "ending_soon": {"amount": "0.00", "until": None},
        "claims": 3,
    }


def test_spent_credit_is_owed_no_more_and_its_claim_still_counts(as_alice: Caller, as_shop: Caller, credit: Credit) -> None:
    credit("100")
    post(as_shop, f"payments/{held(as_shop, '100.00')}/capture/")

    line = only(as_alice.get(f"{ROOT}/wallet/"))

    assert (line["balance"], line["available"], line["claims"]) == ("0.00", "0.00", 1)


def test_a_wallet_as_of_then_is_as_it_was(as_alice: Caller, as_shop: Caller, credit: Credit) -> None:
    credit("100")
    then = timezone.now().isoformat().replace("+00:00", "Z")
    credit("10")
    held(as_shop, "60.00")

    assert only(as_alice.get(f"{ROOT}/wallet/", {"as_of": then}))["available"] == "100.00"
    assert only(as_alice.get(f"{ROOT}/wallet/", {"as_of": then}))["claims"] == 1
    assert only(as_alice.get(f"{ROOT}/wallet/"))["available"] == "50.00"
    assert as_alice.get(f"{ROOT}/wallet/", {"as_of": "2020-01-01"}).json() == {"balances": []}


@pytest.mark.parametrize("as_of", ["2999-01-01T00:00:00Z", "yesterday", "1e9", ""])
def test_a_time_to_come_or_no_time_is_refused(as_alice: Caller, as_of: str) -> None:
    assert wrong_fields(as_alice.get(f"{ROOT}/wallet/", {"as_of": as_of})) == ["as_of"]


def test_a_service_names_the_user_and_a_user_does_not(as_shop: Caller, as_alice: Caller, credit: Credit, bob: User) -> None:
    credit("100")

    assert only(as_shop.get(f"{ROOT}/wallet/", {"user": "alice@example.com"}))["available"] == "100.00"
    assert as_shop.get(f"{ROOT}/wallet/lots/", {"user": "alice@example.com"}).json()["results"][0]["total"] == "100.00"
    assert wrong_fields(as_shop.get(f"{ROOT}/wallet/")) == ["user"]
    assert problem(as_shop.get(f"{ROOT}/wallet/", {"user": "alice@example.co"})) == (404, "not_found")
    assert wrong_fields(as_alice.get(f"{ROOT}/wallet/", {"user": str(bob.pk)})) == ["user"]


def test_credits_are_listed_by_end_with_what_is_left(as_alice: Caller, as_shop: Caller, credit: Credit) -> None:
    never, ended, used = credit("100"), credit("20"), credit("5")
    post(as_shop, f"payments/{held(as_shop, '5.00')}/capture/")
    as_owner("UPDATE ledger_lot SET draw_priority = draw_priority WHERE entry_id = %s", used.pk)
    end_credit(ended)

    lots = as_alice.get(f"{ROOT}/wallet/lots/").json()["results"]
    first = as_alice.get(f"{ROOT}/wallet/lots/", {"page_size": "1"}).json()
    second = as_alice.get(first["next"]).json()

    assert (lots[0]["claim"], lots[0]["state"]) == (str(ended.pk), "ended")
    assert lots[1]["available"] == "95.00"
    assert {lot["claim"] for lot in lots} == {str(lot.pk) for lot in (never, ended, used)}
    assert [first["results"][0], *second["results"]] == lots[:2]


def test_history_is_one_list_of_claims_and_movements_newest_first(as_alice: Caller, as_shop: Caller, credit: Credit) -> None:
    lot = credit("100")
    payment = held(as_shop, "60.00", reference="order-1")
    post(as_shop, f"payments/{payment}/capture/", {"amount": "40.00"})
    post(as_shop, f"payments/{payment}/refund/", {"amount": "10.00", "reference": "return-1", "reason": "returned"})

    def kinds(**filters: str) -> list[str]:
        answer = as_alice.get(f"{ROOT}/wallet/history/", filters)
        assert answer.status_code == 200, answer.content
        return [line["kind"] for line in answer.json()["results"]]

    lines = as_alice.get(f"{ROOT}/wallet/history/").json()["results"]
    everything = ["REFUND", "RELEASE", "CAPTURE", "HOLD", "CLAIM"]
    assert [line["kind"] for line in lines] == everything
    assert (lines[0]["reference"], lines[0]["reason"], lines[0]["service"]) == ("return-1", "returned", "Shop")
    assert (lines[1]["reference"], lines[1]["payment"]) == ("order-1", payment)
    assert (lines[4]["claim"], lines[4]["title"], lines[4]["payment"]) == (str(lot.pk), "Welcome bonus", None)
    assert kinds(ordering="at") == everything[::-1]
    assert kinds(kind="CLAIM") == ["CLAIM"]
    assert kinds(currency="JPY") == kinds(to="2020-01-01") == []
    assert kinds(**{"from": "2020-01-01"}) == everything
    for wrong in ({"kind": "claim"}, {"status": "x"}, {"page_size": "0"}, {"cursor": "x"}):
        assert as_alice.get(f"{ROOT}/wallet/history/", wrong).status_code == 400


def test_pages_of_the_history_repeat_and_skip_nothing(as_alice: Caller, as_shop: Caller, credit: Credit) -> None:
    credit("100")
    for _ in range(4):
        held(as_shop, "1.00")
    whole = [line["id"] for line in as_alice.get(f"{ROOT}/wallet/history/").json()["results"]]

    found, page = [], as_alice.get(f"{ROOT}/wallet/history/", {"page_size": "2"}).json()
    pages = [page]
    while page["next"]:
        page = as_alice.get(page["next"]).json()
        pages.append(page)
    found = [line["id"] for page in pages for line in page["results"]]

    assert found == whole
    assert as_alice.get(pages[-1]["previous"]).json()["results"] == pages[-2]["results"]


def test_each_look_costs_two_statements(
    as_alice: Caller, credit: Credit, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    credit("100")
    for path in ("wallet/", "wallet/lots/", "wallet/history/"):
        with django_assert_num_queries(2):  # who asks, and the answer
            assert as_alice.get(f"{ROOT}/{path}").status_code == 200
