"""The running cluster: its start, its state as Patroni tells it, and its configuration."""

import http.client
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import sql

from dev.cluster import network
from dev.cluster.hosts import DATABASE, OWNER, WEB_PORT, Site
from dev.cluster.needs import NoCluster

PATRONI_PORT = 8008
START_SECONDS = 90
HEALTHY_SECONDS = 90
ASK_SECONDS = 2.0
STREAMING = ("streaming", "running")


class Cluster:
    """Three databases and two web hosts."""

    def __init__(self, site: Site) -> None:
        self.site = site

    def start_databases(self) -> None:
        """Start the witnesses, then the databases; the first one bootstraps, the others copy it. Raises NoCluster."""
        for host in network.DATABASES:
            self.site.start_etcd(host)
        for host in network.DATABASES:
            self.site.start_patroni(host)
        wait_until(self.is_whole, START_SECONDS, "the databases do not start")

    def create_database(self) -> None:
        """Create the owner of the tables and the database at the primary, as deploy/README.md says."""
        statements = [
            sql.SQL("CREATE ROLE {} LOGIN CREATEROLE PASSWORD {}").format(
                sql.Identifier(OWNER), self.site.secrets["OWNER_PASSWORD"]
            ),
            sql.SQL("GRANT pg_read_all_stats TO {}").format(sql.Identifier(OWNER)),
            sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0").format(sql.Identifier(DATABASE), sql.Identifier(OWNER)),
        ]
        with self.superuser(self.leader(), "postgres") as session:
            for statement in statements:
                session.execute(statement)

    def set_app_password(self) -> None:
        """Give the application's role its password."""
        with self.superuser(self.leader()) as session:
            session.execute(sql.SQL("ALTER ROLE cashback_app PASSWORD {}").format(self.site.secrets["APP_PASSWORD"]))

    def start_webs(self) -> None:
        """Start both web hosts and wait until they are ready. Raises NoCluster."""
        for host in network.WEBS:
            self.site.start_web(host)
        wait_until(lambda: all(map(is_ready, network.WEBS)), START_SECONDS, "the web hosts do not become ready")

    @contextmanager
    def superuser(self, host: str, database: str = DATABASE) -> Iterator[psycopg.Connection[Any]]:
        """Yield a session of the superuser with a database host."""
        with psycopg.connect(
            host=network.ADDRESSES[host],
            user="postgres",
            password=self.site.secrets["SUPERUSER_PASSWORD"],
            dbname=database,
            connect_timeout=3,
            autocommit=True,
        ) as session:
            yield session

    def members(self) -> list[dict[str, Any]]:
        """Return the members of the cluster as the first node that answers tells them; none if none answers."""
        for host in network.DATABASES:
            answer = ask_patroni(host, "GET", "/cluster")
            if answer and answer.get("members"):
                return list(answer["members"])
        return []

    def leader(self) -> str:
        """Return the host of the primary; raise NoCluster when there is none."""
        for member in self.members():
            if member["role"] == "leader":
                return str(member["name"])
        raise NoCluster("The cluster has no leader.")

    def standby(self, *, synchronous: bool) -> str:
        """Return a standby of the kind."""
        wanted = "sync_standby" if synchronous else "replica"
        return next(str(member["name"]) for member in self.members() if member["role"] == wanted)

    def is_whole(self) -> bool:
        """Return whether there is one primary, and both standbys stream from it, one of them synchronously if wanted."""
        roles = {member["role"]: member for member in self.members() if member.get("state") in STREAMING}
        running = [member for member in self.members() if member.get("state") in STREAMING]
        synchronous = "sync_standby" in roles or not self.site.synchronous
        streaming = all(member["state"] == "streaming" for member in running if member["role"] != "leader")
        return len(running) == len(network.DATABASES) and "leader" in roles and synchronous and streaming

    def wait_until_whole(self) -> None:
        """Wait until the cluster is whole and the web is ready. Raises NoCluster."""
        wait_until(self.is_whole, HEALTHY_SECONDS, "the cluster does not become whole again")
        wait_until(lambda: all(map(is_ready, network.WEBS)), HEALTHY_SECONDS, "a web host does not become ready again")

    def configure(self, **settings: Any) -> None:
        """Change the configuration of all nodes, as `patronictl edit-config` does."""
        ask_patroni(self.leader(), "PATCH", "/config", settings)


def is_ready(host: str) -> bool:
    """Return whether a web host accepts writes."""
    connection = http.client.HTTPConnection(network.ADDRESSES[host], WEB_PORT, timeout=ASK_SECONDS)
    try:
        connection.request("GET", "/readyz", headers={"X-Forwarded-For": network.GATEWAY})
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def ask_patroni(host: str, method: str, path: str, body: Any = None, seconds: float = ASK_SECONDS) -> dict[str, Any] | None:
    """Send a request to a node's REST API and return its answer; None if there is none in JSON."""
    connection = http.client.HTTPConnection(network.ADDRESSES[host], PATRONI_PORT, timeout=seconds)
    try:
        connection.request(method, path, None if body is None else json.dumps(body), {"Content-Type": "application/json"})
        return dict(json.loads(connection.getresponse().read()))
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()


def wait_until(condition: Callable[[], bool], seconds: float, otherwise: str) -> None:
    """Wait until the condition holds; raise NoCluster after so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise NoCluster(f"The cluster failed: {otherwise}.")
        time.sleep(0.25)
