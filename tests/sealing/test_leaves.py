"""The hashed bytes never change, so that a proof stays verifiable for years."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from wallet.ledger.signing import format_signed_timestamp, leaf_data

ENTRY, ASSET, USER = (UUID(int=number) for number in (1, 2, 3))


@given(
    st.none() | st.text(max_size=64),
    st.decimals(0, 10**9, places=4),
    st.datetimes(datetime(2000, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
)
def test_a_leaf_is_the_json_of_its_columns(key: str | None, amount: Decimal, moment: datetime) -> None:
    row = (ENTRY, "CLAIM", ASSET, USER, amount, "INR", moment, key, USER, 12345)
    fields = [
        str(ENTRY),
        "CLAIM",
        str(ASSET),
        str(USER),
        f"{amount:.4f}",
        "INR",
        format_signed_timestamp(moment),
        key,
        str(USER),
        12345,
    ]

    assert leaf_data(row) == json.dumps(fields, separators=(",", ":")).encode()


def test_timestamp_of_a_leaf_has_six_decimals_and_utc() -> None:
    assert format_signed_timestamp(datetime(2026, 3, 31, 18, 30, tzinfo=UTC)) == "2026-03-31T18:30:00.000000Z"
