"""Allocation is a pure function: an amount over lots in their order; captures and refunds follow the order of drawing."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from wallet.ledger.allocating import Share, allocate, capture_order, draw_order, less, refund_order, total

amounts = st.integers(1, 10**12).map(lambda units: Decimal(units) / 100)
lots = st.lists(amounts, max_size=60).map(lambda values: [Share(UUID(int=n), value) for n, value in enumerate(values)])
instants = st.integers(0, 10**6).map(lambda seconds: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds))


@dataclass(frozen=True)
class AnyLot:
    draw_priority: int
    spendable_until: datetime | None
    opened_at: datetime
    entry_id: UUID


@dataclass(frozen=True)
class Part:
    lot_id: UUID
    position: int
    held: Decimal
    captured: Decimal
    refunded: Decimal


any_lots = st.lists(st.builds(AnyLot, st.integers(1, 3), st.none() | instants, instants, st.uuids()), unique=True)


@st.composite
def parts(draw: st.DrawFn) -> list[Part]:
    """Return what lots bear of a payment, in any order."""
    made = []
    for position in range(1, draw(st.integers(1, 30)) + 1):
        captured = draw(st.integers(0, 1000))
        refunded = Decimal(draw(st.integers(0, captured)))
        made.append(Part(UUID(int=position), position, Decimal(draw(st.integers(0, 1000))), Decimal(captured), refunded))
    return draw(st.permutations(made))


@given(lots, amounts)
def test_the_shares_are_the_amount_or_all_there_is(available: list[Share], amount: Decimal) -> None:
    assert total(allocate(available, amount)) == min(amount, total(available))


@given(lots, amounts)
def test_no_lot_bears_more_than_it_has_and_none_bears_nothing(available: list[Share], amount: Decimal) -> None:
    has = dict(available)
    assert all(0 < share <= has[lot] for lot, share in allocate(available, amount))


@given(lots, amounts)
def test_a_lot_is_drawn_empty_before_the_next_is_touched(available: list[Share], amount: Decimal) -> None:
    shares = allocate(available, amount)

    assert [share.lot_id for share in shares] == [lot.lot_id for lot in available][: len(shares)]
    assert [share.amount for share in shares[:-1]] == [lot.amount for lot in available][: len(shares) - 1]


@given(lots, amounts, amounts)
def test_two_payments_draw_what_one_of_their_sum_would(available: list[Share], first: Decimal, second: Decimal) -> None:
    one = allocate(available, first)
    other = allocate(less(available, one), second)
    together: dict[UUID, Decimal] = {}
    for share in (*one, *other):
        together[share.lot_id] = together.get(share.lot_id, Decimal(0)) + share.amount

    assert together == dict(allocate(available, first + second))


@given(lots, amounts)
def test_what_is_left_and_what_was_taken_are_what_there_was(available: list[Share], amount: Decimal) -> None:
    taken = allocate(available, amount)

    assert total(less(available, taken)) + total(taken) == total(available)


@given(any_lots)
def test_lots_are_drawn_by_priority_then_end_then_age(unordered: list[AnyLot]) -> None:
    ordered = sorted(unordered, key=draw_order)

    for earlier, later in pairwise(ordered):
        assert earlier.draw_priority <= later.draw_priority
        if earlier.draw_priority == later.draw_priority:
            assert later.spendable_until is None or (
                earlier.spendable_until is not None and earlier.spendable_until <= later.spendable_until
            )
            if earlier.spendable_until == later.spendable_until:
                assert (earlier.opened_at, earlier.entry_id) <= (later.opened_at, later.entry_id)


@given(parts())
def test_the_first_drawn_is_captured_first(of_payment: list[Part]) -> None:
    order = capture_order(of_payment)

    assert [share.lot_id.int for share in order] == sorted(part.position for part in of_payment if part.held)
    assert total(order) == sum(part.held for part in of_payment)


@given(parts())
def test_the_last_drawn_is_refunded_first(of_payment: list[Part]) -> None:
    order = refund_order(of_payment)
    refundable = [part for part in of_payment if part.captured > part.refunded]

    assert [share.lot_id.int for share in order] == sorted((part.position for part in refundable), reverse=True)
    assert total(order) == sum(part.captured - part.refunded for part in refundable)
