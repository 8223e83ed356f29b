"""Loaded before the settings: the test servers are up before anything asks for them."""

import os

from dev import services

# Servers of its own for each test process: transactions, roles and flushes of one are nothing to the others.
worker = os.environ.get("PYTEST_XDIST_WORKER")
os.environ["CASHBACK_LOCAL_PROFILE"] = f"test-{worker}" if worker else "test"
# A busy machine is not a Redis that is away.
os.environ.setdefault("REDIS_TIMEOUT_MS", "1000")
services.acquire_lease_if_local()
