"""Shapes of proposals, and the bodies that decide them."""

from datetime import datetime
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema_serializer
from rest_framework import serializers

from kernel.strict_serializers import StrictSerializer
from wallet.api.fields import TextField
from wallet.api.response_serializers import ASSET_EXAMPLE, AdminFieldsSerializer, OwnerSerializer
from wallet.ledger.models import Proposal, ProposalKind, ProposalState
from wallet.ledger.proposals import MAX_REASON_LENGTH
from wallet.money import format_amount

PROPOSAL_EXAMPLE = {
    "id": "0192f0e1-5a10-7c44-9d6b-2c8f1a7e4b90",
    "kind": "GRANT",
    "state": "PENDING",
    "pool": ASSET_EXAMPLE["pool"],
    "amount": "5000.00",
    "currency": "INR",
    "reason": "goodwill",
    "shown": {
        "user": "0192f0c0-1b7e-7d21-8f5a-3c9e6a2b4d10",
        "credit": "Goodwill",
        "amount": "5000.00",
        "reference": "ticket-311",
    },
    "proposed_at": "2026-11-01T09:30:00.123456Z",
    "expires_at": "2026-11-08T09:30:00.123456Z",
    "decided_at": None,
    "decision_reason": None,
    "result": None,
}


@extend_schema_serializer(examples=[OpenApiExample("A grant that waits", PROPOSAL_EXAMPLE, response_only=True)])
class ProposalSerializer(AdminFieldsSerializer):
    """An action that waits for another operator, or was decided by one."""

    admin_fields = ("parameters", "proposed_by", "service", "decided_by")

    id = serializers.UUIDField()
    kind = serializers.ChoiceField(choices=ProposalKind.choices)
    state = serializers.SerializerMethodField()
    pool = serializers.UUIDField(source="pool_id")
    amount = serializers.SerializerMethodField()
    currency = serializers.CharField()
    reason = serializers.CharField()
    shown = serializers.JSONField(help_text="The preview that the proposer saw; `user` is an id.")
    parameters = serializers.JSONField(required=False, help_text="ADMIN only. Parameters of the action.")
    proposed_by = OwnerSerializer(required=False, allow_null=True, help_text="ADMIN only. null if a service proposed it.")
    service = serializers.UUIDField(source="service_id", required=False, allow_null=True, help_text="ADMIN only.")
    proposed_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField(help_text="Expiry time; the proposal must be decided before it.")
    decided_by = OwnerSerializer(required=False, allow_null=True, help_text="ADMIN only.")
    decided_at = serializers.DateTimeField(allow_null=True)
    decision_reason = serializers.CharField(allow_null=True)
    result = serializers.UUIDField(
        allow_null=True, help_text="The id of the claim, movement, batch or pool that the action created."
    )

    def get_state(self, proposal: Any) -> ProposalState:
        """Return the state now."""
        now: datetime = getattr(proposal, "now", None) or timezone.now()
        return proposal.state(now)  # type: ignore[no-any-return]

    def get_amount(self, proposal: Proposal) -> str | None:
        """Return the exact amount; None for a threshold that is removed."""
        return None if proposal.amount is None else format_amount(proposal.amount, proposal.currency)


WAITS = {202: OpenApiResponse(ProposalSerializer, "Worth more than the pool's threshold: it waits for another operator.")}


class ApproveBody(StrictSerializer):
    """Reason for the approval, optional."""

    reason = TextField(required=False, allow_blank=True, max_length=MAX_REASON_LENGTH)


class RefuseBody(StrictSerializer):
    """Reason for the refusal."""

    reason = TextField(max_length=MAX_REASON_LENGTH)
