"""Loaded before the settings: the test servers are up before anything asks for them."""

import os

from cashback import local

os.environ.setdefault("CASHBACK_LOCAL_PROFILE", "test")
# One Redis database per test process, for a flush empties all of it.
worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
os.environ.setdefault("REDIS_DB", str(1 + int(worker)))
local.attach_if_wanted()
