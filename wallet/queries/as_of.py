"""The time that a report is of: whatever counts up to then has been written when it is read, so that no answer changes."""

import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from kernel.replicas import PRIMARY, reading_from, require_all_committed
from kernel.slots import ReadsBusy
from kernel.sql import EXPORT_LOCK
from kernel.statements import run_statements

SEALED_BEFORE = timedelta(minutes=5)  # more than the clocks of hosts differ, one of which dated a seal in earlier versions
LONGEST_TRANSACTION = timedelta(minutes=1)  # timeouts end any other that claims or pays
WAIT_SECONDS, POLL_SECONDS = 2.0, 0.02

CLOCK = "SELECT clock_timestamp() AS now, EXISTS (SELECT FROM ledger_lotbackfill WHERE completed_at IS NULL) AS incomplete"
# A claim or movement has its time from within a transaction that holds one of these locks until it ends.
WRITERS = f"""
SELECT DISTINCT held.virtualtransaction AS transaction
FROM pg_locks AS held JOIN pg_stat_activity AS session USING (pid)
WHERE session.datname = current_database() AND held.pid <> pg_backend_pid() AND held.mode = 'ExclusiveLock' AND held.granted
    AND (held.locktype = 'transactionid' OR held.locktype = 'advisory'
        AND (held.classid::bigint << 32 | held.objid::bigint) <> {EXPORT_LOCK})
"""
# All that a seal covers was written before it, so a report adds only what was written since the last seal before its time.
SEALED = """
SELECT to_xid::text AS xid, position FROM ledger_seal WHERE version = 2 AND sealed_at <= %(before)s ORDER BY seq DESC LIMIT 1
"""


@dataclass(frozen=True)
class AsOf:
    """A time, the last, in which a report counts everything; `xid` and `position` are those of the last seal before it.

    Transactions before `xid` count wholly, and `position` is the balance of each account after them, as JSON.
    """

    at: datetime
    xid: str
    position: str

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters of the reports' statements."""
        return {"at": self.at, "xid": self.xid, "position": self.position}


def settled(as_of: datetime | None = None) -> AsOf:
    """Return the time of a report, None being now, when every transaction that may still write something before it has ended.

    Only the primary knows its transactions; the report is then read where they are all seen. Raises ValidationError for a time
    to come, ReadsBusy when a transaction takes too long or lots are still being opened, ReplicaBehind.
    """
    with reading_from(PRIMARY):
        found = settled_on_primary(as_of)
    require_all_committed()
    return found


def settled_on_primary(as_of: datetime | None) -> AsOf:
    """Return what `settled` returns, by the primary's clock and transactions."""
    (clock,) = run_statements({"clock": CLOCK}, {})["clock"]
    if clock.incomplete:
        raise ReadsBusy
    if as_of is not None and as_of > clock.now:
        raise ValidationError({"as_of": ValidationError(_("Choose a time in the past."), code="future")})
    at = as_of or clock.now
    if at > clock.now - LONGEST_TRANSACTION:
        wait_for_writers()
    sealed = run_statements({"sealed": SEALED}, {"before": at - SEALED_BEFORE})["sealed"]
    return AsOf(at, sealed[0].xid, sealed[0].position) if sealed else AsOf(at, "0", "{}")


def wait_for_writers() -> None:
    """Wait until the transactions that are writing now have ended; raise ReadsBusy after WAIT_SECONDS."""
    deadline = time.monotonic() + WAIT_SECONDS
    writing = writers()
    while writing := writing & writers():
        if time.monotonic() > deadline:
            raise ReadsBusy
        time.sleep(POLL_SECONDS)


def writers() -> set[str]:
    """Return the transactions of other sessions that may write claims or movements."""
    return {row.transaction for row in run_statements({"writers": WRITERS}, {})["writers"]}
