"""What a cluster on this machine needs, and where it is."""

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from dev.services import binaries
from dev.services.errors import LocalServiceError
from kernel.refusals import Refusal

CHECKOUT = Path(__file__).resolve().parents[2]
PACKAGES = CHECKOUT / ".venv-cluster"  # made by `make prove-cluster`
PROGRAMS = {"ip": "iproute2", "unshare": "util-linux", "setpriv": "util-linux"} | {
    "etcd": "etcd-server",
    "haproxy": "haproxy",
    "pgbouncer": "pgbouncer",
}
FOLDERS_OF_ROOT = "/usr/sbin:/sbin"  # which are not on every PATH


class NoCluster(Refusal):
    """This machine cannot run the cluster; the message says why."""

    code = "no_cluster"
    detail = "This machine cannot run a cluster."


@dataclass(frozen=True)
class Programs:
    """The paths of the programs, the folder of Patroni's packages, and a Python that the servers' user can run."""

    paths: dict[str, str]
    packages: Path
    python: str


def find_programs() -> Programs:
    """Return what a cluster needs; raise NoCluster with a sentence about what is missing."""
    if sys.platform != "linux" or os.geteuid() != 0:
        raise NoCluster("Skipped: network namespaces need Linux and root.")
    search = f"{os.environ.get('PATH', os.defpath)}:{FOLDERS_OF_ROOT}"
    found = {name: shutil.which(name, path=search) for name in PROGRAMS}
    if missing := sorted({PROGRAMS[name] for name, path in found.items() if path is None}):
        raise NoCluster(f"Skipped: not installed: {', '.join(missing)} (apt-get install {' '.join(missing)}).")
    if not (PACKAGES / "patroni").is_dir():
        raise NoCluster(f"Skipped: Patroni is not in {PACKAGES}; `make prove-cluster` installs it.")
    return Programs({name: str(path) for name, path in found.items()}, PACKAGES, reachable_python())


def reachable_python() -> str:
    """Return a Python of this version that the servers' user can run."""
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for candidate in (getattr(sys, "_base_executable", sys.executable), f"/usr/local/bin/{name}", f"/usr/bin/{name}"):
        try:
            if Path(candidate).exists() and binaries.run_as_server_user([candidate, "-c", "import ssl, sqlite3"]) == 0:
                return str(candidate)
        except LocalServiceError:
            continue
    raise NoCluster(f"Skipped: the user {binaries.UNPRIVILEGED} can run no {name}, as which Patroni runs.")
