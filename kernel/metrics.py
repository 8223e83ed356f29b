"""Metrics in the format of Prometheus, of all processes that share PROMETHEUS_MULTIPROC_DIR.

A process counts in memory-mapped files of its own slot, and whichever process answers /metrics adds them up. Without the
variable it counts in its memory and shows its own values.
"""

import os
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Metric, disable_created_metrics, values
from prometheus_client.multiprocess import MultiProcessCollector

from kernel.metric_slots import own_slot, readable_files

SHARED = bool(os.environ.get("PROMETHEUS_MULTIPROC_DIR"))
# Chosen before the first metric is made.
values.ValueClass = values.MultiProcessValue(own_slot) if SHARED else values.MutexValue  # type: ignore[no-untyped-call]
disable_created_metrics()  # type: ignore[no-untyped-call]

# Every metric of ours is made with this registry, not with the library's, which holds values of a single process.
REGISTRY = CollectorRegistry()


def collect() -> Iterable[Metric]:
    """Return all metrics: the sum over all processes, or those of this process."""
    return MultiProcessCollector.merge(readable_files()) if SHARED else REGISTRY.collect()  # type: ignore[no-untyped-call]
