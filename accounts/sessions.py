"""Sessions in the database, found by the digest of their key: who reads the table, or a copy of it, can be nobody."""

import hashlib
from typing import Any

from django.contrib.sessions.backends import db
from django.contrib.sessions.backends.base import UpdateError
from django.contrib.sessions.base_session import AbstractBaseSession
from django.contrib.sessions.models import Session
from django.db import OperationalError
from django.utils import timezone


def session_key_digest(key: str) -> str:
    """Return what is stored of a session's key: as much of its SHA-256 as the column holds, 160 bits."""
    return hashlib.sha256(key.encode()).hexdigest()[:40]


class SessionStore(db.SessionStore):
    """Django's, except that the browser alone knows the key."""

    def _get_session_from_db(self) -> Session | None:
        found = Session.objects.filter(
            session_key=session_key_digest(self.session_key or ""), expire_date__gt=timezone.now()
        ).first()
        if found is None:
            self._session_key = None  # a key that is not one of ours never becomes one
        return found

    def exists(self, session_key: str) -> bool:
        """Return whether there is a session with this key."""
        return super().exists(session_key_digest(session_key))

    def create_model_instance(self, data: dict[str, Any]) -> AbstractBaseSession:
        """Return the row to be saved."""
        row = super().create_model_instance(data)
        row.session_key = session_key_digest(row.session_key)
        return row

    def save(self, must_create: bool = False) -> None:
        """Save the session; raise UpdateError only when it was deleted meanwhile, not when the database cannot do it now."""
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
