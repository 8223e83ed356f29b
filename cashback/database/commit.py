"""COMMIT that waits for the synchronous standbys in every transaction (ADR 36)."""

from functools import partial
from typing import Any

from psycopg import Connection, OperationalError
from psycopg.errors import Diagnostic

# Sent with COMMIT. PostgreSQL lets a transaction that wrote nothing end without a standby, so that it could answer from what
# another session committed and no standby has yet (its commit was cut short by the end of its session): a failover would lose
# what was acknowledged. With synchronous standbys it therefore writes, and its commit waits like any other. On a server that
# has become a standby itself, pg_current_xact_id fails with SQLSTATE 25006.
WAIT_FOR_STANDBYS = """\
SELECT CASE WHEN pg_is_in_recovery() OR (
    pg_current_xact_id_if_assigned() IS NULL AND current_setting('synchronous_standby_names') <> ''
) THEN pg_current_xact_id() IS NOT NULL AND pg_logical_emit_message(true, 'cashback', '') IS NOT NULL END"""
WARNING = "01000"  # at COMMIT: the wait for a standby was cancelled, and what was committed may be lost in a failover


def commit_with_standbys(session: Connection[Any]) -> None:
    """Commit the transaction and wait until a synchronous standby has what it wrote and read.

    Raises psycopg's OperationalError if the standby may lack it.
    """
    warnings: list[str | None] = []
    handler = partial(note_warning, warnings)
    session.add_notice_handler(handler)
    try:
        session.execute(f"{WAIT_FOR_STANDBYS}; COMMIT", prepare=False)
    finally:
        session.remove_notice_handler(handler)
    if warnings:
        raise OperationalError(f"the commit did not wait for the standby: {warnings[0]}")


def note_warning(warnings: list[str | None], notice: Diagnostic) -> None:
    """Keep the message of a notice of PostgreSQL that is a plain warning."""
    if notice.sqlstate == WARNING:
        warnings.append(notice.message_primary)
