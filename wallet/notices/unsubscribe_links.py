"""Signed links that end one kind of email for one person, without a sign-in (RFC 8058).

They do not expire: an old email must still be good for unsubscribing. All they can do is to turn one kind of email off.
"""

from uuid import UUID

from django.conf import settings
from django.core import signing
from django.urls import reverse

from accounts.email_links import LinkNotValid
from wallet.notices.models import NoticeKind

SIGNER = signing.Signer(salt="wallet.notices.unsubscribe", sep=".")


def unsubscribe_link(user_id: UUID, kind: str) -> str:
    """Return the address that ends this kind of email for the user."""
    return f"{settings.PUBLIC_URL}{reverse('unsubscribe', args=[unsubscribe_token(user_id, kind)])}"


def unsubscribe_token(user_id: UUID, kind: str) -> str:
    """Return the token of a link: the user's id, the kind and the signature."""
    return SIGNER.sign(f"{user_id.hex}-{kind}")


def read_unsubscribe_token(token: str) -> tuple[UUID, NoticeKind]:
    """Return the user's id and the kind that a token names; raise LinkNotValid."""
    try:
        user_id, _, kind = SIGNER.unsign(token).partition("-")
        return UUID(hex=user_id), NoticeKind(kind)
    except (signing.BadSignature, ValueError) as error:
        raise LinkNotValid from error
