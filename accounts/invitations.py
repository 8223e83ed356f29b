"""The code with which somebody registers because a friend invited them.

Who invites whom belongs to the programme, which this package does not know: its trigger reads the invitation in the transaction
that inserts the user, records it, and refuses a code that nobody has.
"""

import json
from typing import NamedTuple

from django.db import connection
from django.http import HttpRequest
from django.utils.crypto import salted_hmac
from rest_framework.request import Request

from kernel.client_address import UNKNOWN, client_identity

COOKIE = "referral_code"
COOKIE_SECONDS = 30 * 24 * 3600
MAX_CODE_LENGTH = 20


class Invitation(NamedTuple):
    """A friend's code, and the digest of the network address from which it is used; empty if that is unknown."""

    code: str
    network: str = ""


def invitation_of(request: HttpRequest | Request, code: str) -> Invitation | None:
    """Return the invitation by a code as typed; None without one."""
    plain = code.strip().upper().replace("-", "").replace(" ", "")
    client = client_identity(request)
    network = "" if client == f"ip:{UNKNOWN}" else salted_hmac("accounts.invitations", client, algorithm="sha256").hexdigest()
    return Invitation(plain, network) if plain else None


def set_invitation(invitation: Invitation | None) -> None:
    """Set the invitation of this transaction, for the trigger of the next user that it inserts."""
    if invitation is not None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('cashback.invitation', %s, true)", [json.dumps(invitation._asdict())])
