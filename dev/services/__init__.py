"""Local PostgreSQL and Redis servers, started by the first process that uses them and stopped after the last."""

from dev.services.errors import LocalServiceError
from dev.services.lease import (
    acquire_lease,
    acquire_lease_if_local,
    database_url,
    exec_psql,
    redis_missing,
    redis_url,
    restartable_parts,
    start_services,
    stop_services,
)
from dev.services.secrets import local_secret
from dev.services.status import Server, Status, services_status

__all__ = [
    "LocalServiceError",
    "Server",
    "Status",
    "acquire_lease",
    "acquire_lease_if_local",
    "database_url",
    "exec_psql",
    "local_secret",
    "redis_missing",
    "redis_url",
    "restartable_parts",
    "services_status",
    "start_services",
    "stop_services",
]
