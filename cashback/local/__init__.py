"""PostgreSQL and Redis for a machine that has neither: started by who needs them, stopped when nobody does."""

from cashback.local.attachment import attach, attach_if_wanted, database_url, down, parts, psql, redis_missing, redis_url, up
from cashback.local.cannot import Cannot
from cashback.local.secrets import secret
from cashback.local.status import Server, Status, status

__all__ = [
    "Cannot",
    "Server",
    "Status",
    "attach",
    "attach_if_wanted",
    "database_url",
    "down",
    "parts",
    "psql",
    "redis_missing",
    "redis_url",
    "secret",
    "status",
    "up",
]
