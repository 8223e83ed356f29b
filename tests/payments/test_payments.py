"""/payments/: an order is quoted, held, captured, released and refunded."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from pytest_django import DjangoAssertNumQueries, Settings

from accounts.models import User
from accounts.services import Service
from tests.api.conftest import ROOT, Caller
from tests.money.conftest import as_owner, end_hold, money
from tests.payments.conftest import PAYMENTS, held, order, post, problem
from wallet.actions.payment_checks import MAX_AMOUNT
from wallet.ledger.models import Lot, Payment

pytestmark = pytest.mark.django_db(transaction=True)
Credit = Callable[..., Lot]


def figures(answer: Any) -> dict[str, str]:
    names = ("state", "amount", "held", "captured", "released", "refunded", "refundable")
    return {name: answer.json()[name] for name in names if answer.json()[name] != "0.00"}


def test_a_quote_says_what_is_covered_and_writes_nothing(as_shop: Caller, credit: Credit) -> None:
    lot = credit("100")
    before = money()

    answer = post(as_shop, "payments/quote/", {"user": "alice@example.com", "currency": "INR", "amount": "150.00"})
    up_to = {"user": "alice@example.com", "currency": "INR", "amount": "150.00", "up_to": True}
    partly = post(as_shop, "payments/quote/", up_to)

    assert (answer.status_code, partly.status_code) == (200, 200)
    assert answer.json() == {"asked": "150.00", "covered": "0.00", "missing": "50.00", "allocations": [], "passed_over": []}
    assert partly.json()["covered"] == "100.00"
    assert partly.json()["allocations"] == [{"claim": str(lot.pk), "amount": "100.00", "spendable_until": None}]
    assert money() == before


def test_a_user_quotes_with_and_without_a_service(as_alice: Caller, credit: Credit, shop: Service, as_owner_of: Any) -> None:
    lot = credit("100")
    as_owner_of(lot, shop)
    asked = {"currency": "INR", "amount": "40.00"}

    anywhere = post(as_alice, "payments/quote/", asked).json()
    there = post(as_alice, "payments/quote/", asked | {"service": str(shop.pk)}).json()

    assert (anywhere["covered"], there["covered"]) == ("0.00", "40.00")
    assert anywhere["passed_over"] == [{"claim": str(lot.pk), "available": "100.00", "reason": "other_service"}]


@pytest.fixture
def as_owner_of() -> Callable[[Lot, Service], None]:
    """Bind a credit to a service."""
    return lambda lot, shop: as_owner("UPDATE ledger_lot SET service_id = %s WHERE entry_id = %s", shop.pk, lot.pk)


def test_an_order_is_held_captured_in_two_parts_and_refunded(as_shop: Caller, credit: Credit, shop: Service) -> None:
    credit("100")

    hold = post(as_shop, "payments/", order("60.00", reference="order-1", order_total="75.00", hold_seconds=600))
    path = f"payments/{hold.json()['id']}"
    first = post(as_shop, f"{path}/capture/", {"amount": "25.50", "final": False})
    last = post(as_shop, f"{path}/capture/", {"amount": "30.00"})
    refund = post(as_shop, f"{path}/refund/", {"amount": "10.00", "reference": "return-1", "reason": "returned"})

    assert [answer.status_code for answer in (hold, first, last, refund)] == [201] * 4
    assert figures(hold) == {"state": "HELD", "amount": "60.00", "held": "60.00"}
    assert (hold.json()["service"], hold.json()["reference"]) == (str(shop.pk), "order-1")
    assert figures(first)["state"] == "PARTLY_CAPTURED"
    assert figures(last) == {
        "state": "CAPTURED",
        "amount": "60.00",
        "captured": "55.50",
        "released": "4.50",
        "refundable": "55.50",
    }
    assert figures(refund)["state"] == "PARTLY_REFUNDED"
    assert [step["kind"] for step in refund.json()["movements"]] == ["HOLD", "CAPTURE", "CAPTURE", "RELEASE", "REFUND"]


def test_every_answer_says_who_pays_when_it_began_and_what_the_order_costs(
    as_shop: Caller, as_ada: Caller, as_alice: Caller, credit: Credit, alice: User
) -> None:
    credit("100")
    body = order("60.00", order_total="75.00")
    first = post(as_shop, "payments/", body)
    path = f"payments/{first.json()['id']}/"
    began = first.json()["movements"][0]["at"]
    expected = {"user": str(alice.pk), "created_at": began, "order_total": "75.00"}

    again = post(as_shop, "payments/", body)
    capture = post(as_shop, f"{path}capture/", {"amount": "10.00", "final": False})
    release = post(as_ada, f"{path}release/")
    refund = post(as_shop, f"{path}refund/", {"reference": "return-1", "reason": "returned"})
    shown = [caller.get(f"{ROOT}/{path}") for caller in (as_shop, as_ada, as_alice)]
    rows = [caller.get(PAYMENTS).json()["results"][0] for caller in (as_shop, as_ada, as_alice)]

    for payment in (*(answer.json() for answer in (first, again, capture, release, refund, *shown)), *rows):
        assert {name: payment[name] for name in expected} == expected
    without = post(as_shop, "payments/", order("1.00")).json()
    assert (without["order_total"], without["created_at"] > began) == (None, True)


def test_a_payment_at_once_of_as_much_as_there_is(as_shop: Caller, credit: Credit, alice: User) -> None:
    credit("100")

    answer = post(as_shop, "payments/", order("150.00", user=str(alice.pk), capture=True, up_to=True))

    assert (answer.status_code, figures(answer)["captured"]) == (201, "100.00")


def test_a_retry_with_the_same_key_gets_the_same_answer(as_shop: Caller, credit: Credit) -> None:
    credit("100")
    body, key = order("60.00"), uuid4().hex

    first, again = (post(as_shop, "payments/", body, key) for _ in range(2))
    other = post(as_shop, "payments/", body | {"amount": "61.00"}, key)

    assert (first.status_code, again.status_code, again.content) == (201, 201, first.content)
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"
    assert problem(other) == (422, "idempotency_key_reused")
    assert Payment.objects.count() == 1


def test_a_retry_with_a_fresh_key_is_found_by_its_reference(as_shop: Caller, credit: Credit) -> None:
    credit("100")
    body = order("60.00")

    first, again = (post(as_shop, "payments/", body, uuid4().hex) for _ in range(2))

    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json()
    assert problem(post(as_shop, "payments/", body | {"amount": "1.00"})) == (409, "reference_used")


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"amount": "0"}, 400, "invalid_amount"),
        ({"amount": "-1.00"}, 400, "invalid_amount"),
        ({"amount": "1.001"}, 400, "invalid_amount"),
        ({"amount": 1.5}, 400, "invalid"),
        ({"amount": "1e2"}, 400, "invalid"),
        ({"amount": "999999999999999"}, 400, "invalid_amount"),
        ({"currency": "XXX"}, 400, "invalid"),
        ({"reference": "x" * 101}, 400, "invalid_reference"),
        ({"reference": " order"}, 400, "invalid_reference"),
        ({"reference": "ordér"}, 400, "invalid_reference"),
        ({"reference": ""}, 400, "invalid"),
        ({"hold_seconds": 59}, 400, "invalid_hold"),
        ({"hold_seconds": 30 * 24 * 3600 + 1}, 400, "invalid_hold"),
        ({"hold_seconds": 600, "capture": True}, 400, "invalid"),
        ({"order_total": "0.00"}, 400, "invalid_amount"),
        ({"capture": None}, 400, "invalid"),
        ({"captured": True}, 400, "invalid"),
        ({"user": "nobody@example.com"}, 404, "not_found"),
        ({"user": None}, 400, "invalid"),
        ({"amount": "100.01"}, 409, "insufficient_credit"),
    ],
)
def test_a_wrong_payment_is_refused_and_changes_nothing(
    as_shop: Caller, credit: Credit, fields: dict[str, Any], status: int, code: str
) -> None:
    credit("100")
    before = money()

    answer = post(as_shop, "payments/", order() | fields)

    assert problem(answer) == (status, code), answer.json()
    assert money() == before


def test_an_amount_that_is_too_large_is_told_the_largest(as_shop: Caller, credit: Credit) -> None:
    answer = post(as_shop, "payments/", order("999999999999999"))

    assert problem(answer) == (400, "invalid_amount")
    assert f"at most {MAX_AMOUNT:,}" in answer.json()["detail"]


def test_too_little_credit_is_said_in_figures(as_shop: Caller, credit: Credit) -> None:
    credit("100")
    held(as_shop, "60.00")

    short, busy = (post(as_shop, "payments/", order(amount)).json() for amount in ("100.01", "50.00"))

    assert (short["code"], short["available"]) == ("insufficient_credit", "40.00")
    assert (busy["code"], busy["available"]) == ("credit_held", "40.00")


def test_what_exceeds_a_payment_is_told_how_much_is_possible(as_shop: Caller, credit: Credit) -> None:
    credit("100")
    payment = f"payments/{held(as_shop, '60.00')}"
    refund = {"reference": "return-1", "reason": "returned"}

    nothing_yet = post(as_shop, f"{payment}/refund/", refund).json()
    capture = post(as_shop, f"{payment}/capture/", {"amount": "60.01"}).json()
    post(as_shop, f"{payment}/capture/", {"amount": "50.00", "final": False})
    rest = post(as_shop, f"{payment}/capture/", {"amount": "10.01"}).json()
    returned = post(as_shop, f"{payment}/refund/", refund | {"amount": "50.01"}).json()

    told = [(answer["code"], answer["available"]) for answer in (nothing_yet, capture, rest, returned)]
    assert told == [
        ("exceeds_refundable", "0.00"),
        ("exceeds_held", "60.00"),
        ("exceeds_held", "10.00"),
        ("exceeds_refundable", "50.00"),
    ]
    assert rest["detail"] == "This is more than the payment holds. Capture no more than 10.00 INR."
    assert returned["detail"] == "This is more than can be refunded. Refund no more than 50.00 INR."


def test_states_refuse_what_they_must(as_shop: Caller, credit: Credit) -> None:
    credit("100")
    payment = f"payments/{held(as_shop, '60.00')}"
    refund = {"reference": "return-1", "reason": "returned"}

    assert problem(post(as_shop, f"{payment}/capture/", {"amount": "60.01"})) == (409, "exceeds_held")
    assert problem(post(as_shop, f"{payment}/refund/", refund)) == (409, "exceeds_refundable")
    assert problem(post(as_shop, "payments/", order("50.00"))) == (409, "credit_held")
    assert post(as_shop, f"{payment}/capture/").status_code == 201
    assert problem(post(as_shop, f"{payment}/capture/")) == (409, "already_captured")
    assert problem(post(as_shop, f"{payment}/release/")) == (409, "already_captured")
    assert problem(post(as_shop, f"{payment}/refund/", refund | {"amount": "60.01"})) == (409, "exceeds_refundable")


def test_release_is_repeatable_and_an_ended_hold_is_over(as_shop: Caller, credit: Credit) -> None:
    credit("100")
    released, ended = (f"payments/{held(as_shop, '20.00')}" for _ in range(2))
    end_hold(Payment.objects.latest("id").pk)

    answers = [post(as_shop, f"{released}/release/") for _ in range(3)]

    assert [answer.status_code for answer in answers] == [201, 200, 200]
    assert {answer.json()["state"] for answer in answers} == {"RELEASED"}
    assert problem(post(as_shop, f"{released}/capture/")) == (409, "already_released")
    assert problem(post(as_shop, f"{ended}/capture/")) == (409, "hold_expired")
    assert as_shop.get(f"{ROOT}/{ended}/").json()["state"] == "EXPIRED"


def test_another_services_payment_does_not_exist(as_shop: Caller, as_other_shop: Caller, credit: Credit) -> None:
    credit("100")
    payment = f"payments/{held(as_shop)}"
    before = money()

    assert problem(as_other_shop.get(f"{ROOT}/{payment}/")) == (404, "not_found")
    for verb, body in (("capture", {}), ("release", {}), ("refund", {"reference": "r", "reason": "returned"})):
        assert problem(post(as_other_shop, f"{payment}/{verb}/", body)) == (404, "not_found")
    assert as_other_shop.get(PAYMENTS).json()["results"] == []
    assert money() == before


def test_a_user_holds_and_releases_and_never_captures(as_alice: Caller, as_bob: Caller, credit: Credit, shop: Service) -> None:
    credit("100")
    body = {"service": str(shop.pk), "currency": "INR", "amount": "60.00", "reference": "order-1"}

    assert problem(post(as_alice, "payments/", body | {"capture": True})) == (403, "permission_denied")
    assert problem(post(as_alice, "payments/", body | {"capture": False, "user": "bob@example.com"})) == (400, "invalid")
    assert problem(post(as_alice, "payments/", body | {"capture": False, "service": str(uuid4())})) == (404, "not_found")
    hold = post(as_alice, "payments/", body | {"capture": False})
    payment = f"payments/{hold.json()['id']}"
    assert problem(post(as_alice, f"{payment}/capture/")) == (403, "permission_denied")
    assert problem(post(as_alice, f"{payment}/refund/", {"reference": "r", "reason": "returned"})) == (403, "permission_denied")
    assert problem(post(as_bob, f"{payment}/release/")) == (404, "not_found")
    assert post(as_alice, f"{payment}/release/").json()["state"] == "RELEASED"


def test_an_owner_cannot_release_what_was_partly_captured(as_alice: Caller, as_shop: Caller, credit: Credit) -> None:
    credit("100")
    payment = f"payments/{held(as_shop)}"
    post(as_shop, f"{payment}/capture/", {"amount": "10.00", "final": False})

    assert problem(post(as_alice, f"{payment}/release/")) == (409, "already_captured")
    assert post(as_shop, f"{payment}/release/").json()["released"] == "50.00"


def test_an_operator_releases_and_refunds_and_never_captures(as_ada: Caller, as_shop: Caller, credit: Credit) -> None:
    credit("100")
    spent, payment = held(as_shop, "30.00"), held(as_shop, "20.00")
    post(as_shop, f"payments/{spent}/capture/")

    assert problem(post(as_ada, f"payments/{payment}/capture/")) == (403, "permission_denied")
    assert post(as_ada, f"payments/{payment}/release/").json()["state"] == "RELEASED"
    refund = post(as_ada, f"payments/{spent}/refund/", {"reference": "ticket-9", "reason": "goodwill"})
    assert refund.json()["state"] == "REFUNDED"


def test_allocations_are_for_the_owner_and_operators(
    as_alice: Caller, as_bob: Caller, as_ada: Caller, as_shop: Caller, credit: Credit
) -> None:
    lot = credit("100")
    payment = f"{PAYMENTS}{held(as_shop)}/"

    for caller in (as_alice, as_ada):
        assert caller.get(payment).json()["allocations"] == [
            {
                "claim": str(lot.pk),
                "amount": "60.00",
                "held": "60.00",
                "captured": "0.00",
                "released": "0.00",
                "refunded": "0.00",
            }
        ]
    assert "allocations" not in as_shop.get(payment).json()
    assert problem(as_bob.get(payment)) == (404, "not_found")
    for path in ("explain/", "proof/"):
        assert problem(as_shop.get(payment + path)) == (403, "permission_denied")
        assert problem(as_bob.get(payment + path)) == (404, "not_found")


def test_an_explanation_names_the_credits_in_the_order_of_drawing_and_why(
    as_alice: Caller, as_shop: Caller, credit: Credit
) -> None:
    first, second = credit("40"), credit("100", title="Diwali")
    payment = held(as_shop)

    told = as_alice.get(f"{PAYMENTS}{payment}/explain/").json()

    assert [(line["claim"], line["amount"]) for line in told["credits"]] == [
        (str(first.pk), "40.00"),
        (str(second.pk), "20.00"),
    ]
    assert [line["drawn_before_next_by"] for line in told["credits"]] == ["older_claim", None]


def test_the_list_shows_newest_first_and_filters_by_what_is_true_now(as_shop: Caller, as_ada: Caller, credit: Credit) -> None:
    credit("100")
    held_id, spent, released = (held(as_shop, "10.00", reference=f"order-{n}") for n in range(3))
    post(as_shop, f"payments/{spent}/capture/")
    post(as_shop, f"payments/{released}/release/")

    def found(caller: Caller, **filters: str) -> list[str]:
        answer = caller.get(PAYMENTS, filters)
        assert answer.status_code == 200, answer.content
        return [payment["id"] for payment in answer.json()["results"]]

    assert found(as_shop) == [released, spent, held_id] == found(as_ada)
    assert found(as_shop, state="HELD") == [held_id]
    assert found(as_shop, state="CAPTURED") == [spent]
    assert found(as_shop, state="RELEASED") == [released]
    assert found(as_shop, state="EXPIRED") == []
    assert found(as_shop, reference="order-1", user="alice@example.com") == [spent]
    assert found(as_shop, to="2020-01-01") == []
    assert problem(as_shop.get(PAYMENTS, {"status": "HELD"})) == (400, "invalid")
    end_hold(Payment.objects.get(pk=held_id).pk)
    assert found(as_shop, state="EXPIRED") == [held_id]


def test_a_page_of_a_users_payments_leads_to_the_next(as_alice: Caller, as_shop: Caller, credit: Credit) -> None:
    credit("100")
    ids = [held(as_shop, "10.00") for _ in range(3)]

    first = as_alice.get(PAYMENTS, {"page_size": "2"}).json()
    second = as_alice.get(first["next"]).json()

    assert [payment["id"] for page in (first, second) for payment in page["results"]] == ids[::-1]
    assert second["next"] is None


def test_each_call_costs_few_statements(
    as_shop: Caller, as_alice: Caller, credit: Credit, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    credit("100")
    body = order("10.00")
    # One statement finds key, service and user. A payment also costs BEGIN, what it reads, what it records, and COMMIT.
    with django_assert_num_queries(3):
        post(as_shop, "payments/quote/", {name: body[name] for name in ("user", "currency", "amount")})
    with django_assert_num_queries(5):
        answer = post(as_shop, "payments/", body)
    payment = answer.json()["id"]
    with django_assert_num_queries(3):
        as_shop.get(f"{PAYMENTS}{payment}/")
    with django_assert_num_queries(3):
        as_shop.get(PAYMENTS)
    with django_assert_num_queries(4):
        as_alice.get(f"{PAYMENTS}{payment}/")


@pytest.mark.parametrize("path", ["payments/", "payments/quote/"])
@pytest.mark.parametrize("key", ["short", "x" * 65, "with spaces in its middle"])
def test_a_malformed_key_is_refused(as_shop: Caller, credit: Credit, path: str, key: str) -> None:
    credit("100")
    body = order() if path == "payments/" else {"user": "alice@example.com", "currency": "INR", "amount": "1.00"}

    assert problem(post(as_shop, path, body, key)) == (400, "invalid")
    assert Payment.objects.count() == 0


@pytest.mark.parametrize(("action", "path"), [("quote", "payments/quote/"), ("payment", "payments/")])
def test_a_user_is_limited_and_another_is_not(
    *, action: str, path: str, as_alice: Caller, as_bob: Caller, shop: Service, settings: Settings
) -> None:
    settings.RATES = settings.RATES | {action: "1/h"}
    body: dict[str, Any] = {"currency": "INR", "amount": "1.00", "service": str(shop.pk)}
    body |= {"reference": "order-1", "capture": False} if action == "payment" else {}

    answers = [post(caller, path, body) for caller in (as_alice, as_alice, as_bob)]

    assert problem(answers[1]) == (429, "rate_limited")
    assert 429 not in (answers[0].status_code, answers[2].status_code)
