"""Readers of the variables of the database: the primary, a replica, and what stands in between."""

import re
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from psycopg.conninfo import conninfo_to_dict

from cashback.env import LOCAL, env, read_int

if LOCAL:
    from dev import services  # the package is not part of a deployment

# Time limits for an unreachable database server; DATABASE_URL may override them (`?connect_timeout=5`). Without them libpq
# waits 130 s for a connection, and as long as TCP retransmits for a response of a server that is down.
NETWORK_LIMITS = {
    "connect_timeout": 2,  # seconds, for each host and address; the minimum of libpq
    "keepalives_idle": 3,  # seconds of silence before the first keepalive probe
    "keepalives_interval": 2,  # seconds between two probes
    "keepalives_count": 3,  # unanswered probes that end the connection
    "tcp_user_timeout": 9_000,  # milliseconds for which sent data may stay unacknowledged (Linux)
}
# A statement of a request, a command or a task uses one core, and no compiler (ADR 35).
ONE_CORE = {"max_parallel_workers_per_gather": "0", "jit": "off"}
# What may stand between the application and PostgreSQL (DATABASE_POOLER): nothing, or a pooler that gives each transaction any
# of its sessions, such as PgBouncer with pool_mode = transaction. "-prepared": it also keeps prepared statements, as PgBouncer
# does from 1.21 on with max_prepared_statements.
POOLERS = ("", "transaction", "transaction-prepared")


def read_database_url() -> str:
    """Return the URL of the database: DATABASE_URL, or the project's own server in local mode."""
    url: str = env.str("DATABASE_URL", "")
    if not url and not LOCAL:
        raise ImproperlyConfigured("DATABASE_URL must be set outside local mode, e.g. postgresql://user:secret@host/name.")
    if url and not re.match(r"\w+://", url):
        raise ImproperlyConfigured("DATABASE_URL must be a URL, e.g. postgresql://user:secret@host/name.")
    return url or services.database_url()


def read_hosts(url: str) -> dict[str, str]:
    """Return HOST and PORT of a URL that names several hosts, as libpq understands it; empty for one host."""
    _, _, rest = url.partition("://")
    hosts = re.split("[/?]", rest, maxsplit=1)[0].rpartition("@")[2]
    if "," not in hosts:
        return {}
    address = conninfo_to_dict(f"postgresql://{hosts}/")
    ports = str(address.get("port", ""))
    return {"HOST": str(address["host"]), "PORT": ports if ports.strip(",") else ""}


def read_pooler(name: str) -> str:
    """Return the kind of the pooler in front of PostgreSQL: one of POOLERS."""
    value: str = env.str(name, "")
    if value not in POOLERS:
        raise ImproperlyConfigured(f'{name} must be {", ".join(filter(None, POOLERS))} or empty, not "{value}".')
    return value


def read_database() -> dict[str, Any]:
    """Return Django's settings of the primary, with lock, statement and network time limits on every connection.

    The threads of a web process share DATABASE_POOL connections. 0, no pool, for commands and the cluster: forked processes
    cannot share connections.
    """
    pooled = read_int("DATABASE_POOL", 0)
    pool = {"min_size": 1, "max_size": pooled, "timeout": 2, "max_idle": 5} if pooled else None
    return database_settings(read_database_url(), pool) | {"TEST": {"NAME": env.str("TEST_DATABASE", "test_cashback")}}


def read_replica() -> dict[str, Any]:
    """Return Django's settings of the replica DATABASE_REPLICA_URL, whose sessions are read-only; empty without one.

    Its pool is small and gives up early: few expensive reads run at once, and the primary serves those that get no connection.
    """
    url: str = env.str("DATABASE_REPLICA_URL", "")
    if not url:
        return {}
    if not re.match(r"\w+://", url):
        raise ImproperlyConfigured("DATABASE_REPLICA_URL must be a URL, e.g. postgresql://user:secret@replica/name.")
    pool = {"min_size": 0, "max_size": 4, "timeout": 1, "max_idle": 5} if read_int("DATABASE_POOL", 0) else None
    replica = database_settings(url, pool, default_transaction_read_only="on")
    return replica | {"TEST": {"MIRROR": "default"}}


def database_settings(url: str, pool: dict[str, Any] | None, **session: str) -> dict[str, Any]:
    """Return Django's settings of a PostgreSQL server.

    Arguments:
        session: more parameters of each session. With a pooler in between sessions have those of their role
            (`manage.py grant_app_role`): it refuses such parameters, or ignores them.
    """
    database: dict[str, Any] = env.db_url_config(url) | read_hosts(url)
    if database["ENGINE"] == "django.db.backends.postgresql":
        database["ENGINE"] = "cashback.database"
    options = database["OPTIONS"] = NETWORK_LIMITS | database.get("OPTIONS", {})
    # A URL names a socket's folder in its query string; Django's dbshell reads HOST.
    database["HOST"] = options.pop("host", database["HOST"])
    pooler = database["POOLER"] = read_pooler("DATABASE_POOLER")
    if pooler != "transaction":
        options["prepare_threshold"] = 1  # only for cursors that prepare statements (DatabaseWrapper.prepared_cursor)
    if not pooler:
        options["options"] = " ".join(f"-c {name}={value}" for name, value in (session_settings() | session).items())
    if pool:
        options["pool"] = pool
    database["CONN_MAX_AGE"] = 0 if pool else read_int("CONN_MAX_AGE", 60)
    database["CONN_HEALTH_CHECKS"] = True
    return database


def session_settings() -> dict[str, Any]:
    """Return the settings of a session: its time limits, in ms, and one core for each statement (ADR 35)."""
    return {
        "lock_timeout": read_int("LOCK_TIMEOUT_MS", 2_000),
        "statement_timeout": read_int("STATEMENT_TIMEOUT_MS", 5_000),
        "idle_in_transaction_session_timeout": 5_000,
        **ONE_CORE,
    }
