"""A 404 names what was not found, in one pattern, whatever the address does with it."""

from uuid import uuid4

import pytest

from tests.api.conftest import ROOT, Caller

NOUNS = {
    "assets": "Credit",
    "batches": "Batch",
    "claims": "Claim",
    "payments": "Payment",
    "pools": "Pool",
    "proposals": "Proposal",
}


@pytest.mark.parametrize("name", NOUNS)
def test_a_row_that_is_not_there_is_named(as_ada: Caller, name: str) -> None:
    found = as_ada.get(f"{ROOT}/{name}/{uuid4()}/").json()

    assert (found["code"], found["detail"].partition(".")[0]) == ("not_found", f"{NOUNS[name]} not found")


@pytest.mark.parametrize(
    "path", ["claims/{id}/proof/", "payments/{id}/proof/", "payments/{id}/explain/", "pools/{id}/explain/"]
)
def test_what_is_read_and_what_is_done_say_the_same(as_ada: Caller, path: str) -> None:
    found = as_ada.get(f"{ROOT}/{path.format(id=uuid4())}").json()

    assert found["detail"] == as_ada.get(f"{ROOT}/{path.partition('/')[0]}/{uuid4()}/").json()["detail"]


def test_an_address_that_is_not_there_has_no_name(as_ada: Caller) -> None:
    for path in ("payments/order-1042/", "nothing/"):
        assert as_ada.get(f"{ROOT}/{path}").json()["detail"] == "Not found. Check the address."
