"""I22, from the clients' log alone: payments that are lost, that nobody asked for, and answers that changed."""

from dataclasses import replace
from typing import Any

import pytest

from wallet.verification.payment_log import PaymentAttempt, changed_answers, lost_movements, unasked_movements

TOLD = {"id": "m-1", "kind": "SPEND", "amount": "7.00"}
PAID: dict[str, Any] = {"id": "m-1", "movements": [TOLD]}
ASKED = PaymentAttempt("client 1, request 0", "spend", "alice", "order-1", "key-1", 0.0, 0.1, "ok", 201, "201", PAID)
RECORDED = {"m-1": ("SPEND", "7.0000", "m-1", "key-1")}


def test_what_was_acknowledged_and_is_there_is_right() -> None:
    assert [*lost_movements([ASKED], RECORDED), *unasked_movements([ASKED], RECORDED), *changed_answers([ASKED, ASKED])] == []


@pytest.mark.parametrize(
    "recorded",
    [
        {},
        {"m-1": ("HOLD", "7.0000", "m-1", "key-1")},
        {"m-1": ("SPEND", "70.0000", "m-1", "key-1")},
        {"m-1": ("SPEND", "7.0000", "m-2", "key-1")},
    ],
)
def test_an_acknowledged_payment_that_is_not_there_is_lost(recorded: dict[str, tuple[Any, ...]]) -> None:
    assert [violation.invariant for violation in lost_movements([ASKED], recorded)] == ["I22"]


def test_a_payment_without_an_answer_needs_a_lost_one() -> None:
    refused = replace(ASKED, outcome="refused", status=409, code="insufficient_credit", payment=None)
    lost = replace(refused, outcome="unknown", code="ConnectionResetError")

    assert [violation.invariant for violation in unasked_movements([refused], RECORDED)] == ["I22"]
    assert unasked_movements([refused, lost], RECORDED) == []


def test_a_release_by_the_clock_has_no_key_and_was_asked_by_nobody() -> None:
    assert unasked_movements([], {"m-2": ("RELEASE", "7.0000", "m-1", None)}) == []
    assert len(unasked_movements([], {"m-2": ("REFUND", "7.0000", "m-1", None)})) == 1


def test_one_key_with_two_answers_and_one_order_with_two_payments_are_found() -> None:
    other = {"id": "m-9", "movements": []}

    same_key = changed_answers([ASKED, replace(ASKED, user="bob", payment=other)])
    same_order = changed_answers([ASKED, replace(ASKED, key="key-2", payment=other)])

    assert [str(violation) for violation in same_key] == ["I22: key key-1 got 2 different answers"]
    assert [str(violation) for violation in same_order] == ["I22: order order-1 of user alice has 2 payments"]
