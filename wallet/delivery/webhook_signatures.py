"""Signatures of webhooks by the Standard Webhooks specification, and the secrets that make them.

A secret is derived from SECRET_KEY, the endpoint and its version, so that no table holds it. While SECRET_KEY_FALLBACKS names
earlier keys, or the secret was rotated lately, each message carries a signature of every secret that a receiver may know.
"""

from base64 import b64encode
from datetime import datetime

from django.conf import settings
from django.utils.crypto import salted_hmac
from standardwebhooks import Webhook

from wallet.delivery.models import WebhookEndpoint

SALT = "wallet.delivery.webhook"


def derive_secret(endpoint: WebhookEndpoint, version: int, secret_key: str | bytes) -> str:
    """Return the secret of an endpoint as its owner gets it: `whsec_` and 32 bytes in base64."""
    derived = salted_hmac(SALT, f"{endpoint.pk}:{version}", secret=secret_key, algorithm="sha256")
    return f"whsec_{b64encode(derived.digest()).decode()}"


def current_secret(endpoint: WebhookEndpoint) -> str:
    """Return the secret that an endpoint's owner is shown once."""
    return derive_secret(endpoint, endpoint.secret_version, settings.SECRET_KEY)


def live_secrets(endpoint: WebhookEndpoint, now: datetime) -> list[str]:
    """Return the secrets that sign at `now`, the current one first."""
    versions = [endpoint.secret_version]
    if endpoint.has_previous_secret(now):
        versions.append(endpoint.secret_version - 1)
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    return [derive_secret(endpoint, version, key) for version in versions for key in keys]


def signed_headers(secrets: list[str], message_id: str, body: str, now: datetime) -> dict[str, str]:
    """Return the headers of a message: its id, the time of this attempt and a signature by each secret."""
    signatures = [Webhook(secret).sign(message_id, now, body) for secret in secrets]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(signatures),
    }
