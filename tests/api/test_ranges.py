"""Limits of a range in the wrong order, and values that nothing has, are refused beside their field."""

import pytest

from accounts.models import User
from tests.api.conftest import ROOT, Caller

VALUES = {"min_value": "5", "max_value": "4.99", "currency": "INR"}
EXPIRIES = {"expires_after": "2027-03-02", "expires_before": "2027-03-01T23:59:59Z"}
TIMES = {"from": "2026-03-02", "to": "2026-03-01T00:00:00Z"}
REVERSED = [
    ("assets/", VALUES, "max_value"),
    ("reports/ownership/", VALUES, "max_value"),
    ("reports/ownership/", VALUES | {"format": "csv"}, "max_value"),
    ("assets/", EXPIRIES, "expires_before"),
    ("reports/ownership/", EXPIRIES | {"format": "csv"}, "expires_before"),
    ("claims/", TIMES, "to"),
    ("payments/", TIMES, "to"),
    ("wallet/history/", TIMES, "to"),
]


@pytest.mark.parametrize(("path", "query", "field"), REVERSED)
def test_a_reversed_range_is_refused_beside_its_end(as_ada: Caller, path: str, query: dict[str, str], field: str) -> None:
    answer = as_ada.get(f"{ROOT}/{path}", query)

    assert answer.status_code == 400
    assert [(error["field"], error["code"]) for error in answer.json()["errors"]] == [(field, "range")]


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("assets/", {"min_value": "5", "max_value": "5.00", "currency": "INR"}),
        ("assets/", {"min_value": "0", "currency": "INR"}),
        ("claims/", {"from": "2026-03-01", "to": "2026-03-01T00:00:00Z"}),
        ("wallet/history/", {"from": "2026-03-01", "to": "2026-03-02"}),
        ("payments/", {"to": "2026-03-01"}),
    ],
)
def test_a_range_in_order_is_accepted(as_ada: Caller, path: str, query: dict[str, str]) -> None:
    assert as_ada.get(f"{ROOT}/{path}", query).status_code == 200


@pytest.mark.parametrize("path", ["assets/", "reports/ownership/"])
@pytest.mark.parametrize("name", ["min_value", "max_value"])
def test_a_negative_value_is_refused(as_ada: Caller, ada: User, path: str, name: str) -> None:
    answer = as_ada.get(f"{ROOT}/{path}", {name: "-0.01", "currency": "INR"})

    assert answer.status_code == 400
    assert [(error["field"], error["code"]) for error in answer.json()["errors"]] == [(name, "min_value")]
