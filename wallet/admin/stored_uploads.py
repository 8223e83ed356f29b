"""Uploaded files of credits between their preview and their import."""

import tempfile
from base64 import b64decode, b64encode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session

from accounts.models import User
from wallet.actions.import_csv import Contents, CreditFile
from wallet.actions.import_draft import NEW_POOL_FIELDS
from wallet.assets.models import CreditPool

MAX_CHECKED_ROWS = 20_000  # rows that differ in more than their title; seconds of a thread
UPLOAD_TTL_SECONDS = 30 * 60


@dataclass(frozen=True)
class Upload:
    """An uploaded file and the choices that belong to it."""

    actor: User
    content: bytes
    name: str
    pool: CreditPool | None = None
    new_pools: Sequence[CreditPool] = ()


@contextmanager
def credit_file(upload: Upload, expected: Contents | None = None) -> Iterator[CreditFile]:
    """Yield the content as a file that can be read more than once."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(upload.content)
        file.flush()
        yield CreditFile(
            Path(file.name),
            upload.actor,
            upload.pool,
            expected=expected,
            max_validated=MAX_CHECKED_ROWS,
            new_pools=upload.new_pools,
        )


def store_upload(upload: Upload, contents: Contents | None, shown: list[str]) -> str:
    """Store a file for half an hour, visible to every web process, and return its key.

    The file has a session row of its own, signed and expired like any other, so that the operator's session stays small.

    Arguments:
        contents: what the check found; None for a file that cannot be imported yet.
        shown: the values that the preview shows.
    """
    store = SessionStore()
    store["import"] = {
        "by": str(upload.actor.pk),
        "content": b64encode(upload.content).decode(),
        "name": upload.name,
        "pool": str(upload.pool.pk) if upload.pool else None,
        "new_pools": [{name: str(getattr(pool, name)) for name in NEW_POOL_FIELDS} for pool in upload.new_pools],
        "count": contents.count if contents else None,
        "digest": contents.digest if contents else None,
        "credits_digest": contents.credits_digest if contents else None,
        "values": shown,
    }
    store.set_expiry(UPLOAD_TTL_SECONDS)
    store.create()
    return str(store.session_key)


def stored_upload(actor: User, key: str) -> dict[str, Any] | None:
    """Return the stored upload of the operator; None when there is none."""
    stored = SessionStore(key).load().get("import") if key else None
    return stored if stored is not None and stored["by"] == str(actor.pk) else None


def load_upload(actor: User, key: str) -> Upload | None:
    """Return the upload with its pools; None when there is none."""
    stored = stored_upload(actor, key)
    if stored is None:
        return None
    pool = CreditPool.objects.filter(pk=UUID(stored["pool"])).first() if stored["pool"] else None
    new_pools = [CreditPool(**fields | {"id": UUID(fields["id"])}) for fields in stored["new_pools"]]
    return Upload(actor, b64decode(stored["content"]), stored["name"], pool, new_pools)


def take_upload(actor: User, key: str) -> dict[str, Any] | None:
    """Remove and return the stored upload, so that a form sent twice imports once. None when there is none."""
    upload = stored_upload(actor, key)
    if upload is None or upload["count"] is None or not Session.objects.filter(session_key=key).delete()[0]:
        return None
    return upload
