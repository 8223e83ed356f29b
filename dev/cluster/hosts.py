"""The processes of each host, started from the files of deploy/."""

import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dev.cluster import network
from dev.cluster.needs import CHECKOUT, Programs
from dev.cluster.templates import write_template
from dev.services import binaries, paths

DATABASE = "prove_cluster"
OWNER = "cashback"
WEB_PORT = 8000
THREADS = 16
WORKER = "cashback.gunicorn_worker.worker.Worker"


def new_secret() -> str:
    """Return a password, or a key, of this run."""
    return secrets.token_urlsafe(48)


@dataclass(frozen=True)
class Site:
    """What all hosts of a run share: their folder, programs, PostgreSQL and secrets."""

    folder: Path
    programs: Programs
    postgres: Path
    synchronous: bool = True
    pool_mode: str = "transaction"
    secrets: dict[str, str] = field(
        default_factory=lambda: {
            name: new_secret() for name in ("SUPERUSER_PASSWORD", "REPLICATION_PASSWORD", "APP_PASSWORD", "OWNER_PASSWORD")
        }
    )
    keys: dict[str, str] = field(
        default_factory=lambda: {name: new_secret() for name in ("SECRET_KEY", "JWT_SIGNING_KEY", "SEAL_SIGNING_KEY")}
    )
    running: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    def host_folder(self, host: str) -> Path:
        """Return the folder of a host's files, made if need be."""
        made = self.folder / host
        paths.make_folder(made, 0o700, binaries.server_owner())
        return made

    def values(self, host: str) -> dict[str, object]:
        """Return the values of the templates for a host."""
        home = self.host_folder(host)
        addresses = {name.upper(): network.ADDRESSES[name] for name in network.DATABASES}
        settings = {"MAX_CONNECTIONS": 100, "SHARED_BUFFERS": "128MB", "POOL_MODE": self.pool_mode, "POOL_SIZE": 20}
        folders = {
            "ETCD_DIRECTORY": home / "etcd",
            "DATA_DIRECTORY": home / "data",
            "STATE_DIRECTORY": home,
            "SOCKET_DIRECTORY": home,
            "HAPROXY_SOCKET": home / "haproxy.sock",
            "PGBOUNCER_USERS": home / "userlist.txt",
            "ANALYZE_ON_PROMOTION": home / "analyze_on_promotion.sh",
            "BIN_DIRECTORY": self.postgres / "bin",
        }
        about = {
            "NODE": host,
            "ADDRESS": network.ADDRESSES[host],
            "NETWORK": network.NETWORK,
            "DATABASE": DATABASE,
            "SYSTEM_USER": binaries.UNPRIVILEGED,
            "SYNCHRONOUS": str(self.synchronous).lower(),
        }
        return {**addresses, **settings, **folders, **about, **self.secrets}

    def start(
        self, host: str, name: str, command: Sequence[object], environ: Mapping[str, str] | None = None, *, root: bool = False
    ) -> "subprocess.Popen[bytes]":
        """Start a program at a host, as the servers' user unless told otherwise; its output goes to a file of its name."""
        uid, gid = binaries.server_owner()
        drop = [] if root else [self.programs.paths["setpriv"], f"--reuid={uid}", f"--regid={gid}", "--clear-groups"]
        with (self.host_folder(host) / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [self.programs.paths["ip"], "netns", "exec", network.PREFIX + host, *drop, *map(str, command)],
                cwd=CHECKOUT if root else "/",
                env=dict(environ or {"PATH": f"{self.postgres / 'bin'}:{os.defpath}", "LC_ALL": "C", "TZ": "UTC"}),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.running.append(process)
        return process

    def write(self, name: str, host: str) -> Path:
        """Write a file of deploy/ for a host."""
        return write_template(name, self.host_folder(host), self.values(host), binaries.server_owner())

    def start_etcd(self, host: str) -> None:
        """Start the witness of a database host."""
        self.start(host, "etcd", [self.programs.paths["etcd"], "--config-file", self.write("etcd/etcd.conf.yml", host)])

    def start_patroni(self, host: str) -> None:
        """Start Patroni at a database host, which starts PostgreSQL."""
        self.write("patroni/analyze_on_promotion.sh", host)
        packages = self.folder / "packages"
        if not packages.exists():
            shutil.copytree(self.programs.packages, packages)
        environ = {"PATH": f"{self.postgres / 'bin'}:{os.defpath}", "LC_ALL": "C", "TZ": "UTC", "PYTHONPATH": str(packages)}
        command = [self.programs.python, "-B", "-m", "patroni", self.write("patroni/patroni.yml", host)]
        self.start(host, "patroni", command, environ)

    def start_pgbouncer(self, host: str) -> None:
        """Start PgBouncer at a web host."""
        self.write("pgbouncer/userlist.txt", host)
        self.start(host, "pgbouncer", [self.programs.paths["pgbouncer"], self.write("pgbouncer/pgbouncer.ini", host)])

    def start_web(self, host: str) -> None:
        """Start HAProxy, PgBouncer and the web workers of a web host."""
        self.start(host, "haproxy", [self.programs.paths["haproxy"], "-db", "-f", self.write("haproxy/haproxy.cfg", host)])
        self.start_pgbouncer(host)
        size = ["--workers", "1", "--threads", str(THREADS), "--timeout", "60", "--keep-alive", "75", "--no-control-socket"]
        bind = ["--bind", f"0.0.0.0:{WEB_PORT}", "--worker-class", WORKER, "--log-level", "error"]
        command = [sys.executable, "-m", "gunicorn", "cashback.wsgi", *bind, *size]
        self.start(host, "web", command, self.web_environment(host), root=True)

    def web_environment(self, host: str) -> dict[str, str]:
        """Return the environment of a deployment's web workers, without limits on how often one may claim and pay."""
        off = dict.fromkeys(("RATE_CLAIM", "RATE_PAYMENT", "RATE_SERVICE_PAYMENT", "RATE_SERVICE_KEY", "RATE_SEARCH"), "off")
        pooler = {"DATABASE_POOLER": "transaction"} if self.pool_mode == "transaction" else {}
        url = f"postgresql://cashback_app:{self.secrets['APP_PASSWORD']}@127.0.0.1:6432/{DATABASE}"
        return {
            **off,
            **pooler,
            **self.keys,
            "PATH": os.defpath,
            "CASHBACK_ENV": "production",
            "DATABASE_URL": url,
            "DATABASE_REPLICA_URL": f"{url}_replica",
            "DATABASE_POOL": "8",
            "ALLOWED_HOSTS": network.ADDRESSES[host],
            "TRUSTED_PROXIES": "1",
            "LOG_LEVEL": "ERROR",
            "PYTHONUNBUFFERED": "1",
        }

    def owner_url(self) -> str:
        """Return the URL with which the owner of the tables finds the primary, wherever it is."""
        hosts = ",".join(f"{network.ADDRESSES[host]}:5432" for host in network.DATABASES)
        return f"postgresql://{OWNER}:{self.secrets['OWNER_PASSWORD']}@{hosts}/{DATABASE}?target_session_attrs=read-write"
