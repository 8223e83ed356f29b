"""A field of a body takes values of its JSON type alone."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.urls import get_resolver
from rest_framework import serializers

from kernel.strict_serializers import StrictSerializer
from tests.api.conftest import ROOT, Caller, wrong_fields
from tests.money.conftest import credit, shop  # noqa: F401  (fixtures)
from tests.payments.conftest import as_shop, new_key, order  # noqa: F401  (fixtures)
from wallet.api.fields import AmountField
from wallet.assets.models import CreditPool
from wallet.ledger.models import Payment

WRONG: dict[type, list[Any]] = {
    serializers.BooleanField: ["yes", "true", "false", "on", "1", "", 1, 0, 1.0, [], {}],
    serializers.IntegerField: ["5", "five", "", 5.0, 5.5, True, [5], {}],
    serializers.ListField: ["a", 5, True, {}],
    serializers.Field: [5, 5.5, True, False, ["a"], {"a": "b"}],  # of strings
}
READ_AS_TEXT = "Query"  # how the serializers of query strings are named


def bodies(base: type[StrictSerializer] = StrictSerializer) -> Iterator[type[StrictSerializer]]:
    """Yield the serializer of every body."""
    get_resolver().url_patterns  # noqa: B018  (imports the views and their serializers)
    for serializer in base.__subclasses__():
        if not serializer.__module__.startswith("tests."):
            yield serializer
        yield from bodies(serializer)


def wrong_values() -> Iterator[Any]:
    for body in bodies():
        if body.__name__.endswith(READ_AS_TEXT):
            continue
        for name, field in body().fields.items():
            kind = next(kind for kind in WRONG if isinstance(field, kind))
            # An amount may be an integer.
            values = [value for value in WRONG[kind] if not (isinstance(field, AmountField) and type(value) is int)]
            yield from (pytest.param(body, name, value, id=f"{body.__name__}-{name}-{value!r}") for value in values)


@pytest.mark.parametrize(("body", "name", "value"), wrong_values())
def test_every_field_refuses_other_types(db: None, body: type[StrictSerializer], name: str, value: Any) -> None:
    bound = body(data={name: value}, partial=True)

    assert not bound.is_valid()
    assert list(bound.errors) == [name]


@pytest.mark.parametrize("body", bodies())
def test_every_body_is_an_object(db: None, body: type[StrictSerializer]) -> None:
    values: list[Any] = [[], "text", 5, True]
    for value in values:
        bound = body(data=value)
        assert not bound.is_valid()
        assert str(bound.errors["non_field_errors"][0]) == "Send a JSON object, with the fields in braces."


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"up_to": "yes"}, "Send true or false, without quotes."),
        ({"reference": 5}, "Send a string, in quotes."),
        ({"hold_seconds": "900"}, "Send a whole number without quotes or fraction, e.g. 25."),
        ({"amount": True}, 'Write the amount as plain decimal digits in a string, e.g. "100.00".'),
        ({"amount": "1" * 16}, "Write the amount with at most 15 digits before the decimal point and 4 after it."),
        ({"order_total": "1.00001"}, "Write the amount with at most 15 digits before the decimal point and 4 after it."),
        ({"order_total": "59.99"}, "The order costs less than the amount to pay. Check both."),
    ],
)
def test_a_loose_payment_is_refused_in_words_and_pays_nothing(
    as_shop: Caller,  # noqa: F811
    credit: Callable[..., Any],  # noqa: F811
    fields: dict[str, Any],
    said: str,
) -> None:
    credit("100")

    answer = as_shop.post(f"{ROOT}/payments/", order("60.00") | fields)

    assert wrong_fields(answer) == list(fields)
    assert [error["detail"] for error in answer.json()["errors"]] == [said]
    assert not Payment.objects.exists()


@pytest.mark.parametrize("total", ["60", "60.00", "649.00"])
def test_an_order_costs_at_least_what_is_paid(as_shop: Caller, credit: Callable[..., Any], total: str) -> None:  # noqa: F811
    credit("100")

    assert as_shop.post(f"{ROOT}/payments/", order("60.00", order_total=total)).status_code == 201


@pytest.mark.parametrize("day", ["2090-1-1", "20900101", "2090-W01-1", "01/02/2090", "2090-01-01T00:00:00Z", "", 20900101])
def test_a_day_has_one_notation(as_ada: Caller, open_pool: Callable[..., CreditPool], day: Any) -> None:
    body = {"count": 1, "title": "Bonus", "total_value": "1", "starts_on": day}

    answer = as_ada.post(f"{ROOT}/pools/{open_pool().pk}/issue/", body, headers={"Idempotency-Key": "k" * 16})

    assert wrong_fields(answer) == ["starts_on"]
    assert answer.json()["errors"][0]["code"] == "instant"
