"""Shapes of a wallet: balances, credits and history."""

from typing import Any

from drf_spectacular.utils import extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from kernel.timestamps import format_timestamp
from wallet.api.payment_serializers import CREDIT_STATES, HISTORY_KINDS, response_example
from wallet.api.response_serializers import Shape
from wallet.money import format_amount

WALLET_EXAMPLE = {
    "balances": [
        {
            "currency": "INR",
            "balance": "400.00",
            "available": "150.00",
            "held": "250.00",
            "pending": "0.00",
            "ending_soon": {"amount": "50.00", "until": "2026-11-05T18:30:00Z"},
            "claims": 4,
        }
    ]
}


class EndingSoonSerializer(Shape):
    """What ends within 7 days, and when the first of it does."""

    amount = serializers.CharField()
    until = serializers.DateTimeField(allow_null=True)


class BalanceSerializer(Shape):
    """A user's balances in one currency: balance = available + held + pending."""

    currency = serializers.CharField()
    balance = serializers.CharField()
    available = serializers.CharField(help_text="What can be spent now.")
    held = serializers.CharField(help_text="What is held for orders.")
    pending = serializers.CharField(help_text="What can be spent later.")
    ending_soon = EndingSoonSerializer()
    claims = serializers.IntegerField(help_text="How many credits were claimed.")

    def to_representation(self, line: dict[str, Any]) -> dict[str, Any]:
        """Return the exact amounts with the decimals of their currency."""
        code = line["currency"]
        amounts = {name: format_amount(line[name], code) for name in ("balance", "available", "held", "pending")}
        soon = {"amount": format_amount(line["ending_soon"], code), "until": format_timestamp(line["ending_at"])}
        return {"currency": code, **amounts, "ending_soon": soon, "claims": line["claims"]}


@extend_schema_serializer(many=False, examples=response_example("A wallet", WALLET_EXAMPLE))
class WalletSerializer(Shape):
    """A user's balances per currency."""

    balances = BalanceSerializer(many=True)


class LotSerializer(Shape):
    """What is left of one claimed credit: total = available + held + spent + lapsed + clawed_back."""

    claim = serializers.UUIDField()
    title = serializers.CharField()
    currency = serializers.CharField()
    state = serializers.ChoiceField(choices=CREDIT_STATES)
    total = serializers.CharField()
    available = serializers.CharField()
    held = serializers.CharField()
    spent = serializers.CharField()
    lapsed = serializers.CharField()
    clawed_back = serializers.CharField()
    spendable_from = serializers.DateTimeField()
    spendable_until = serializers.DateTimeField(allow_null=True, help_text="Exclusive; null if it never ends.")
    service = serializers.UUIDField(allow_null=True, help_text="The only service at which it can be spent, if there is one.")

    def to_representation(self, lot: Any) -> dict[str, Any]:
        """Return the credit as it is now."""
        names = ("total", "available", "held", "spent", "lapsed", "clawed_back")
        return {
            "claim": str(lot.pk),
            "title": lot.entry.asset.title,
            "currency": lot.currency,
            "state": lot.state_now,
            **{name: format_amount(getattr(lot, name), lot.currency) for name in names},
            "spendable_from": format_timestamp(lot.spendable_from),
            "spendable_until": format_timestamp(lot.spendable_until),
            "service": lot.service_id and str(lot.service_id),
        }


class HistorySerializer(Shape):
    """One event of a wallet."""

    id = serializers.UUIDField()
    kind = serializers.ChoiceField(choices=HISTORY_KINDS)
    at = serializers.DateTimeField()
    currency = serializers.CharField()
    amount = serializers.CharField()
    claim = serializers.UUIDField(allow_null=True)
    title = serializers.CharField(allow_null=True, help_text="Of the claimed credit.")
    payment = serializers.UUIDField(allow_null=True)
    service = serializers.SerializerMethodField()
    reference = serializers.CharField(allow_null=True)
    reason = serializers.CharField(allow_null=True)

    @extend_schema_field({"type": ["string", "null"]})  # type: ignore[untyped-decorator]
    def get_service(self, row: Any) -> str | None:
        """Return the name of the service."""
        return row.service_name if row.service_name is None else str(row.service_name)

    def to_representation(self, row: Any) -> dict[str, Any]:
        """Return a row of WalletHistory."""
        ids = {"claim": row.claim_id, "payment": row.payment_id}
        return {
            "id": str(row.id),
            "kind": row.kind,
            "at": format_timestamp(row.at),
            "currency": row.currency,
            "amount": format_amount(row.amount, row.currency),
            **{name: value and str(value) for name, value in ids.items()},
            "title": row.title,
            "service": row.service_name,
            "reference": row.reference,
            "reason": row.reason,
        }
