"""Group commit: items that threads submit at the same time are processed in one batch, by one of these threads.

The pattern is leader and followers: a thread that finds no batch in progress leads one at once; items that arrive meanwhile
form the next batch. It needs no thread of its own.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Generic, TypeVar, cast

from django.db import OperationalError, connection
from prometheus_client import Gauge, Histogram
from psycopg.pq import TransactionStatus
from psycopg_pool import PoolTimeout

from kernel.fallbacks import Fallback
from kernel.host_turn import HostTurn
from kernel.metrics import REGISTRY

log = logging.getLogger(__name__)
Item = TypeVar("Item")
Outcome = TypeVar("Outcome")

MAX_BATCH_SIZE = 64  # in a larger batch the first item would wait too long for the last
FOLLOWER_TIMEOUT_SECONDS = 10.0  # longer than the statement timeout; after it the leader is considered lost
BATCH_SIZES = Histogram(
    "cashback_batch_size", "Items per batch.", ["batcher"], buckets=(1, 2, 4, 8, 16, 32, MAX_BATCH_SIZE), registry=REGISTRY
)
LARGEST_BATCH = Gauge(
    "cashback_largest_batch_items", "Items in the largest batch.", ["batcher"], multiprocess_mode="max", registry=REGISTRY
)


class RetryIndividually:
    """An outcome: this item cannot be decided in a batch. Its thread retries it individually, waiting for locks."""


class NoConnection:
    """An outcome: no database connection was free for the batch, so its items do not wait for another one."""


class Failed:
    """An outcome: this item's thread is in a transaction that the error ended, so that nothing can be retried in it."""

    def __init__(self, error: Exception) -> None:
        self.error = error


class PendingItem(Generic[Item, Outcome]):
    """An item in the queue and, once its batch has run, its outcome."""

    def __init__(self, item: Item) -> None:
        self.item = item
        self.outcome: Outcome | RetryIndividually | NoConnection | Failed | None = None
        self.is_done = False
        # Released once: when the item is done, or when its thread becomes the next leader.
        self.signal = threading.Lock()
        self.signal.acquire()


class Batcher(Generic[Item, Outcome]):
    """Collects items from the threads of this process into batches.

    Arguments:
        name: the label of this batcher in /metrics and in the log.
        run_batch: returns one outcome (or RetryIndividually) per item, in the order of the items. It must not wait for locks
            of other transactions, because the whole batch waits for it. When it raises, each item is retried individually,
            so its effects must be idempotent.
        run_one: returns the outcome of one item, or raises. It runs in the item's own thread and may wait. It also runs when a
            batch does not finish in time; the item may then be processed twice.
        max_batch_size: the maximum number of items in a batch.
        uses_database: whether run_batch takes a database connection, which the leader then returns to the pool.
        turn: taken for the time of a batch, if the batches of the host's processes follow one another.
    """

    instances: ClassVar[list["Batcher[Any, Any]"]] = []

    def __init__(
        self,
        name: str,
        run_batch: Callable[[Sequence[Item]], Sequence[Outcome | RetryIndividually]],
        run_one: Callable[[Item], Outcome],
        *,
        max_batch_size: int = MAX_BATCH_SIZE,
        uses_database: bool = True,
        turn: HostTurn | None = None,
    ) -> None:
        self.name, self.run_batch, self.run_one = name, run_batch, run_one
        self.max_batch_size, self.uses_database, self.turn = max_batch_size, uses_database, turn
        self.batches = self.items = self.largest = 0
        self.sizes_metric, self.largest_metric = BATCH_SIZES.labels(name), LARGEST_BATCH.labels(name)
        self.batch_failed = Fallback(f"{name}.batch_failed", f"a batch of {name} failed; its items are retried one by one", log)
        self.leader_lost = Fallback(
            f"{name}.leader_lost", f"a batch of {name} did not end in time; its item is retried alone", log
        )
        self.queue: deque[PendingItem[Item, Outcome]] = deque()
        self._mutex = threading.Lock()
        self._has_leader = False
        self.instances.append(self)

    def submit(self, item: Item) -> Outcome:
        """Return the outcome of `item`; raise what `run_one` raises, or OperationalError when no connection was free."""
        pending: PendingItem[Item, Outcome] = PendingItem(item)
        with self._mutex:
            self.queue.append(pending)
            is_follower, self._has_leader = self._has_leader, True
        if is_follower and not pending.signal.acquire(timeout=FOLLOWER_TIMEOUT_SECONDS) and self._withdraw(pending):
            self.leader_lost.record()
            return self.run_one(item)
        if not pending.is_done:
            self._run_batch()
        if isinstance(pending.outcome, RetryIndividually):
            return self.run_one(item)
        if isinstance(pending.outcome, Failed):
            raise pending.outcome.error
        if isinstance(pending.outcome, NoConnection):
            raise OperationalError("no database connection was free") from PoolTimeout("no connection for the batch")
        return cast(Outcome, pending.outcome)

    def _run_batch(self) -> None:
        """Run the oldest items as one batch in this thread, whose own item is the first, and appoint the next leader."""
        if self.turn:
            self.turn.take(self.queue)  # items arrive meanwhile
        with self._mutex:
            batch = [self.queue.popleft() for _ in range(min(len(self.queue), self.max_batch_size))]
            self.batches, self.items = self.batches + 1, self.items + len(batch)
            is_largest, self.largest = len(batch) > self.largest, max(self.largest, len(batch))
        self.sizes_metric.observe(len(batch))
        if is_largest:
            self.largest_metric.set(len(batch))
        outcomes: Sequence[Any] = [RetryIndividually()] * len(batch)
        try:
            outcomes = self._outcomes(batch)
        finally:
            if self.turn:
                self.turn.give_back()
            try:
                if self.uses_database:
                    release_connection()
            finally:
                self._wake_next_leader()
                for pending, outcome in zip(batch, outcomes, strict=True):
                    pending.outcome, pending.is_done = outcome, True
                    pending.signal.release()

    def _outcomes(self, batch: Sequence[PendingItem[Item, Outcome]]) -> Sequence[Any]:
        try:
            outcomes = self.run_batch([pending.item for pending in batch])
            if len(outcomes) != len(batch):
                raise ValueError(f"{len(outcomes)} outcomes for {len(batch)} items")
        except Exception as error:  # noqa: BLE001  (recorded; each item meets the error again when it is retried)
            self.batch_failed.record()
            is_exhausted = isinstance(error, OperationalError) and isinstance(error.__cause__, PoolTimeout)
            rest: list[Any] = [NoConnection() if is_exhausted else RetryIndividually()] * len(batch)
            # The leader's own item is the first, and the transaction is the leader's.
            return [Failed(error), *rest[1:]] if is_transaction_aborted() else rest
        return outcomes

    def _withdraw(self, pending: PendingItem[Item, Outcome]) -> bool:
        """Remove an item from the queue and return True, or return False if its signal has just arrived."""
        with self._mutex:
            if pending.signal.acquire(blocking=False):
                return False
            if pending in self.queue:
                self.queue.remove(pending)
            return True

    def _wake_next_leader(self) -> None:
        with self._mutex:
            self._has_leader = bool(self.queue)
            if self.queue:
                self.queue[0].signal.release()


def is_transaction_aborted() -> bool:
    """Return whether this thread is in a transaction that an error ended, so that PostgreSQL refuses further statements."""
    session = connection.connection
    return connection.in_atomic_block and session is not None and session.info.transaction_status == TransactionStatus.INERROR


def count_batched_items() -> int:
    """Return how many items all batchers of this process have processed: it grows while the process serves requests."""
    return sum(batcher.items for batcher in Batcher.instances)


def release_connection() -> None:
    """Return this thread's connection to the pool unless it is in a transaction: a waiting thread holds no connection."""
    if not connection.in_atomic_block:
        connection.close_if_unusable_or_obsolete()
