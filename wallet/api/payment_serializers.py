"""Shapes of the answers about payments and claimed credits; they describe what the actions and queries return."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from wallet.actions.grant_lines import Outcome
from wallet.api.response_serializers import ProofSerializer, Shape
from wallet.ledger.movement_kinds import KINDS
from wallet.ledger.payment_state import PaymentState
from wallet.queries.payments import shown_allocations, shown_payment

CLAIM_ID, PAYMENT_ID = "0192f0c2-19d4-7f3b-a6c8-5b7d1e0c4d32", "0192f0d4-5c1e-7a90-8b2f-1f0a9c3d7e65"
SERVICE_ID, USER_ID = "0192f0c0-8e21-7c55-9a4d-7b6f2e1d0c38", "0192f0c0-1b7e-7d21-8f5a-3c9e6a2b4d10"
PAYMENT_EXAMPLE = {
    "id": PAYMENT_ID,
    "state": "HELD",
    "user": USER_ID,
    "service": SERVICE_ID,
    "reference": "order-1042",
    "created_at": "2026-11-01T09:30:00.123456Z",
    "currency": "INR",
    "order_total": "1499.00",
    "amount": "250.00",
    "held": "250.00",
    "captured": "0.00",
    "released": "0.00",
    "refunded": "0.00",
    "refundable": "0.00",
    "held_until": "2026-11-01T10:00:00.123456Z",
    "movements": [
        {
            "id": PAYMENT_ID,
            "kind": "HOLD",
            "amount": "250.00",
            "at": "2026-11-01T09:30:00.123456Z",
            "reference": "order-1042",
        }
    ],
}
QUOTE_EXAMPLE = {
    "asked": "250.00",
    "covered": "250.00",
    "missing": "0.00",
    "allocations": [{"claim": CLAIM_ID, "amount": "250.00", "spendable_until": "2027-03-31T18:30:00Z"}],
    "passed_over": [],
}

# Named, so that the schema names them (ENUM_NAME_OVERRIDES).
MOVEMENT_KINDS, CHANGE_KINDS, HISTORY_KINDS = list(KINDS), ["CLAWBACK", "EXTEND"], ["CLAIM", *KINDS]
CREDIT_STATES = ["spendable", "pending", "ended", "used"]


def response_example(name: str, value: Any) -> list[OpenApiExample]:
    """Return the example of a response."""
    return [OpenApiExample(name, value, response_only=True)]


class MovementSerializer(Shape):
    """A step of a payment."""

    id = serializers.UUIDField()
    kind = serializers.ChoiceField(choices=MOVEMENT_KINDS)
    amount = serializers.CharField()
    at = serializers.DateTimeField()
    reference = serializers.CharField(allow_null=True)


class AllocationSerializer(Shape):
    """What one claim bears of a payment."""

    claim = serializers.UUIDField()
    amount = serializers.CharField()
    held = serializers.CharField()
    captured = serializers.CharField()
    released = serializers.CharField()
    refunded = serializers.CharField()


@extend_schema_serializer(examples=response_example("A hold", PAYMENT_EXAMPLE))
class PaymentSerializer(Shape):
    """What one order was paid with credits: amount = held + captured + released."""

    id = serializers.UUIDField()
    state = serializers.ChoiceField(choices=list(PaymentState))
    user = serializers.UUIDField(help_text="Who pays.")
    service = serializers.UUIDField()
    reference = serializers.CharField()
    created_at = serializers.DateTimeField(help_text="Time of the first movement (database clock).")
    currency = serializers.CharField()
    order_total = serializers.CharField(allow_null=True, help_text="What the whole order costs; null if it was not given.")
    amount = serializers.CharField()
    held = serializers.CharField()
    captured = serializers.CharField()
    released = serializers.CharField()
    refunded = serializers.CharField()
    refundable = serializers.CharField()
    held_until = serializers.DateTimeField(allow_null=True)
    movements = MovementSerializer(many=True)

    def to_representation(self, payment: Any) -> dict[str, Any]:
        """Return the payment as it is now."""
        return shown_payment(payment)


class PaymentDetailSerializer(PaymentSerializer):
    """A payment; its owner and operators also see which claims bear it."""

    allocations = AllocationSerializer(many=True, required=False, help_text="Owner and ADMIN only.")

    def to_representation(self, payment: Any) -> dict[str, Any]:
        """Return the payment as it is now, with its allocations for a user."""
        shown = super().to_representation(payment)
        return shown | ({} if self.context["view"].service else {"allocations": shown_allocations(payment)})


class QuotedShareSerializer(Shape):
    """What one claim would bear."""

    claim = serializers.UUIDField()
    amount = serializers.CharField()
    spendable_until = serializers.DateTimeField(allow_null=True)


class PassedOverSerializer(Shape):
    """A claim that a payment may not draw on now."""

    claim = serializers.UUIDField()
    available = serializers.CharField()
    reason = serializers.ChoiceField(choices=["ended", "pending", "clawed_back", "other_service"])


@extend_schema_serializer(examples=response_example("A quote", QUOTE_EXAMPLE))
class QuoteSerializer(Shape):
    """What a payment would draw on now; it writes nothing and promises nothing."""

    asked = serializers.CharField()
    covered = serializers.CharField()
    missing = serializers.CharField()
    allocations = QuotedShareSerializer(many=True)
    passed_over = PassedOverSerializer(many=True)


class ExplainedCreditSerializer(AllocationSerializer):
    """A credit that paid, and why it came before the next one."""

    title = serializers.CharField()
    draw_priority = serializers.IntegerField()
    spendable_until = serializers.DateTimeField(allow_null=True)
    claimed_at = serializers.DateTimeField()
    drawn_before_next_by = serializers.ChoiceField(choices=["priority", "sooner_end", "older_claim"], allow_null=True)


class ExplanationSerializer(Shape):
    """Which credits paid, in the order of drawing."""

    payment = serializers.UUIDField()
    order_drawn = serializers.CharField()
    amount = serializers.CharField()
    currency = serializers.CharField()
    credits = ExplainedCreditSerializer(many=True)


class MovementProofSerializer(Shape):
    """The proof of one movement with all its postings."""

    id = serializers.UUIDField()
    kind = serializers.ChoiceField(choices=MOVEMENT_KINDS)
    proof = ProofSerializer()


class PaymentProofSerializer(Shape):
    """The proofs of a payment, one for each movement."""

    payment = serializers.UUIDField()
    movements = MovementProofSerializer(many=True)


class CreditChangeSerializer(Shape):
    """A change of a claimed credit. `shortfall` is what a clawback could not take yet."""

    id = serializers.UUIDField()
    kind = serializers.ChoiceField(choices=CHANGE_KINDS)
    claim = serializers.UUIDField()
    currency = serializers.CharField()
    amount = serializers.CharField()
    shortfall = serializers.CharField(allow_null=True)
    reason = serializers.CharField()
    at = serializers.DateTimeField()
    spendable_until = serializers.DateTimeField(allow_null=True)


class ClawbackPreviewSerializer(Shape):
    """What a clawback would take now, and what it could not take yet."""

    amount = serializers.CharField()
    shortfall = serializers.CharField()


class GrantResultSerializer(Shape):
    """What became of one line of a bulk grant."""

    user = serializers.CharField(help_text="As the request names the user.")
    reference = serializers.CharField()
    outcome = serializers.ChoiceField(choices=[outcome.value for outcome in Outcome])
    claim = serializers.UUIDField(allow_null=True, help_text="The claim; null for a refused line and in a preview.")
    code = serializers.CharField(allow_null=True, help_text="The code of the refusal.")
    detail = serializers.CharField(allow_null=True, help_text="What to do next.")


class GrantReportSerializer(Shape):
    """What became of the lines of a bulk grant: how many of each outcome, and each line in the order of the request."""

    granted = serializers.IntegerField()
    already_granted = serializers.IntegerField()
    refused = serializers.IntegerField()
    lines = GrantResultSerializer(many=True)


class ExtensionPreviewSerializer(Shape):
    """What would be spendable until when."""

    available = serializers.CharField()
    spendable_until_now = serializers.DateTimeField()
    spendable_until = serializers.DateTimeField()
