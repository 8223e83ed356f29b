"""Database sessions that are stored under a digest of their key, so that a leaked table cannot be used to impersonate a user.

Each session also keeps its user and browser (accounts.models.BrowserSession), for the list of sign-ins.
"""

import hashlib
import logging
from datetime import timedelta
from typing import Any

from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends import db
from django.contrib.sessions.backends.base import UpdateError
from django.contrib.sessions.base_session import AbstractBaseSession
from django.contrib.sessions.models import Session
from django.db import DatabaseError, OperationalError
from django.utils import timezone

from accounts.devices import Client
from accounts.models import BrowserSession
from kernel.fallbacks import Fallback

log = logging.getLogger(__name__)
USE_NOT_RECORDED = Fallback("sessions.use_not_recorded", "the use of a session was not recorded", log)
USE_RECORDED_EVERY = timedelta(minutes=5)


def session_key_digest(key: str) -> str:
    """Return the stored digest of a session key: 160 bits of its SHA-256, which is what the column holds."""
    return hashlib.sha256(key.encode()).hexdigest()[:40]


def delete_expired_sessions() -> int:
    """Delete the expired sessions with what they say about their browsers, and return how many."""
    return BrowserSession.objects.filter(expire_date__lt=timezone.now()).delete()[1].get("accounts.BrowserSession", 0)


class SessionStore(db.SessionStore):
    """Django's database sessions; only the browser has the key. The middleware sets `client`."""

    client = Client()
    row: BrowserSession | None = None

    @classmethod
    def get_model_class(cls) -> type[BrowserSession]:
        """Return the model of the rows."""
        return BrowserSession

    @classmethod
    def clear_expired(cls) -> None:
        """Delete all expired sessions, also those of Django's own store, which holds uploads."""
        Session.objects.filter(expire_date__lt=timezone.now()).delete()

    def _get_session_from_db(self) -> Session | None:
        session = BrowserSession.objects.filter(
            session_key=session_key_digest(self.session_key or ""), expire_date__gt=timezone.now()
        ).first()
        self.row = session
        if session is None:
            self._session_key = None  # an unknown key from a client is never reused
        return session

    def exists(self, session_key: str) -> bool:
        """Return whether a session with this key exists."""
        return super().exists(session_key_digest(session_key))

    def create_model_instance(self, data: dict[str, Any]) -> AbstractBaseSession:
        """Return the unsaved row, with the digest as its key, its user and browser; a new key of one sign-in keeps its age."""
        row: Any = super().create_model_instance(data)
        row.session_key = session_key_digest(row.session_key)
        row.user_id = data.get(SESSION_KEY)
        row.created_at = row.last_used_at = timezone.now()
        known = self.row if self.row and str(self.row.user_id) == row.user_id else None
        if known:
            row.created_at = known.created_at
        row.user_agent, row.address = (known or self.client).user_agent, (known or self.client).address
        return row  # type: ignore[no-any-return]

    def record_use(self) -> None:
        """Record that a sign-in is in use, unless it was recorded in the last minutes. No error if the session has ended."""
        if self.row and self.row.user_id and timezone.now() - self.row.last_used_at > USE_RECORDED_EVERY:
            rows = BrowserSession.objects.filter(session_key=self.row.session_key)
            try:
                rows.update(last_used_at=timezone.now(), address=self.client.address)
            except DatabaseError:  # a page is shown even by a server that accepts no writes
                USE_NOT_RECORDED.record()

    def save(self, must_create: bool = False) -> None:
        """Save the session; raise UpdateError if it was deleted, OperationalError if the database cannot save it."""
        try:
            super().save(must_create)
        except UpdateError as error:
            if isinstance(error.__context__, OperationalError):
                raise error.__context__ from None
            raise

    def delete(self, session_key: str | None = None) -> None:
        """Delete the session with this key, or this one."""
        if key := session_key or self.session_key:
            super().delete(session_key_digest(key))
