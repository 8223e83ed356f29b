"""The form of an idempotency key: one pattern for the API, its documentation, the pages and the console."""

import re

import pytest

from wallet.admin.pools import IssueForm
from wallet.api import idempotency as api
from wallet.ledger.idempotency import KEY_PATTERN
from wallet.pages import claim_form

KEYS = {
    "a" * 16: True,
    "a" * 64: True,
    "8f14e45f-ceea_467f-A0E6": True,
    "a" * 15: False,
    "a" * 65: False,
    "a" * 16 + "\n": False,
    "a" * 15 + "é": False,
    "a" * 15 + " ": False,
    "a" * 15 + "٣": False,
}


@pytest.mark.parametrize("key", KEYS)
def test_every_interface_accepts_the_same_keys(key: str) -> None:
    documented = str(api.idempotency_key_parameter(required=True).type["pattern"])
    console = IssueForm.base_fields["key"].regex  # type: ignore[attr-defined]

    assert documented == f"^{KEY_PATTERN}$"
    assert bool(api.KEY.fullmatch(key)) is KEYS[key]
    assert bool(claim_form.KEY.fullmatch(key)) is KEYS[key]
    assert bool(console.search(key)) is KEYS[key]
    assert bool(re.fullmatch(KEY_PATTERN, key)) is KEYS[key]
