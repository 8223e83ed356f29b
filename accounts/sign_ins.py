"""The sign-ins of a user: sessions of browsers and token families of apps, listed and ended."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Literal
from uuid import UUID

from django.contrib.auth import HASH_SESSION_KEY
from django.db.models.functions import Now
from django.utils.crypto import constant_time_compare
from django.utils.translation import gettext_noop as _

from accounts import audit
from accounts.devices import describe_device
from accounts.models import BrowserSession, Revoked, TokenFamily, User
from accounts.sessions import SessionStore, session_key_digest
from kernel.refusals import NotFound

MOST = 100  # sign-ins of each kind that are listed, the latest


class SignInNotFound(NotFound):
    code = "not_found"
    meaning = _("There is no such sign-in of the caller, or it has ended.")
    detail = _("Sign-in not found. It may have ended already: see the list of your sign-ins.")


@dataclass(frozen=True)
class SignIn:
    """One sign-in that has not ended. `is_current`: the one that asks."""

    id: UUID
    kind: Literal["browser", "app"]
    user_agent: str
    address: str
    created_at: datetime
    last_used_at: datetime
    is_current: bool

    @property
    def device(self) -> str:
        """The browser or app in words."""
        return describe_device(self.user_agent)


def list_sign_ins(user: User, session_key: str | None = None, family: UUID | str | None = None) -> list[SignIn]:
    """Return the user's sign-ins, the current one first, then by last use. The caller's session or family marks the current."""
    found = chain(browser_sign_ins(user, session_key), app_sign_ins(user, family))
    return sorted(found, key=lambda sign_in: (sign_in.is_current, sign_in.last_used_at), reverse=True)


def browser_sign_ins(user: User, session_key: str | None) -> Iterator[SignIn]:
    """Yield the sessions that still let their browser in: a change of the password ends the others."""
    sessions = BrowserSession.objects.filter(user=user, expire_date__gt=Now()).order_by("-last_used_at")
    current = session_key_digest(session_key) if session_key else None
    for row in sessions[:MOST]:
        auth_hash = SessionStore().decode(row.session_data).get(HASH_SESSION_KEY, "")
        if constant_time_compare(auth_hash, user.get_session_auth_hash()):
            yield build_sign_in(session_id(row), "browser", row, row.session_key == current)


def app_sign_ins(user: User, family: UUID | str | None) -> Iterator[SignIn]:
    """Yield the token families whose refresh token is still valid."""
    families = TokenFamily.objects.filter(user=user, revoked_at=None, expires_at__gt=Now()).order_by("-last_used_at")
    for row in families.filter(auth_hash=user.get_session_auth_hash())[:MOST]:
        yield build_sign_in(row.pk, "app", row, str(row.pk) == str(family))


def build_sign_in(pk: UUID, kind: Literal["browser", "app"], row: BrowserSession | TokenFamily, is_current: bool) -> SignIn:
    """Return the sign-in of a row."""
    return SignIn(pk, kind, row.user_agent, row.address, row.created_at, row.last_used_at, is_current)


def session_id(row: BrowserSession) -> UUID:
    """Return the id by which a session is named: a part of the digest that is its key."""
    return UUID(hex=row.session_key[:32])


def end_one_sign_in(user: User, sign_in_id: UUID) -> None:
    """End one sign-in of the user: it is refused at its next request. Raises SignInNotFound."""
    ended = TokenFamily.objects.filter(user=user, pk=sign_in_id).revoke(Revoked.LOGOUT)
    sessions = BrowserSession.objects.filter(user=user, session_key__startswith=sign_in_id.hex)
    if not ended and not sessions.delete()[0]:
        raise SignInNotFound
    audit.record_event("sign_out", "done", user, where="one")


def end_other_sign_ins(user: User, session_key: str | None) -> None:
    """End all sign-ins of the user except the session with this key."""
    kept = session_key_digest(session_key) if session_key else None
    BrowserSession.objects.filter(user=user).exclude(session_key=kept or "").delete()
    TokenFamily.objects.filter(user=user).revoke(Revoked.LOGOUT)
