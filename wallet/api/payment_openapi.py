"""What the operations about payments share in the OpenAPI schema."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, OpenApiResponse

from wallet.api import idempotency
from wallet.api.payment_serializers import PaymentSerializer

KEYED = [idempotency.idempotency_key_parameter(required=False), idempotency.REPLAYED_HEADER]
ORDER = {"currency": "INR", "amount": "250.00"}
ANSWERS = {
    200: OpenApiResponse(PaymentSerializer, "It was done before: the payment as it is now."),
    201: OpenApiResponse(PaymentSerializer, "The payment."),
}


def body_example(name: str, /, **fields: Any) -> OpenApiExample:
    """Return the example of a body."""
    return OpenApiExample(name, fields, request_only=True)
