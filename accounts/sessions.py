"""Database sessions that are stored under a digest of their key, so that a leaked table lets nobody impersonate a user."""

import hashlib
from typing import Any

from django.contrib.sessions.backends import db
from django.contrib.sessions.backends.base import UpdateError
from django.contrib.sessions.base_session import AbstractBaseSession
from django.contrib.sessions.models import Session
from django.db import OperationalError
from django.utils import timezone


def session_key_digest(key: str) -> str:
    """Return the stored digest of a session key: 160 bits of its SHA-256, which is what the column holds."""
    return hashlib.sha256(key.encode()).hexdigest()[:40]


class SessionStore(db.SessionStore):
    """Django's database sessions; only the browser has the key."""

    def _get_session_from_db(self) -> Session | None:
        session = Session.objects.filter(
            session_key=session_key_digest(self.session_key or ""), expire_date__gt=timezone.now()
        ).first()
        if session is None:
            self._session_key = None  # an unknown key from a client is never reused
        return session

    def exists(self, session_key: str) -> bool:
        """Return whether a session with this key exists."""
        return super().exists(session_key_digest(session_key))

    def create_model_instance(self, data: dict[str, Any]) -> AbstractBaseSession:
        """Return the unsaved row, with the digest as its key."""
        row = super().create_model_instance(data)
        row.session_key = session_key_digest(row.session_key)
        return row

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
