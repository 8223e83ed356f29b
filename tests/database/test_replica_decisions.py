"""No decision is taken from a replica: actions and authentication read from the primary, whatever is around them."""

import ast
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import InternalError, connections, transaction
from django.db.utils import OperationalError

from accounts.models import BrowserSession, TokenFamily
from accounts.services import ServiceKey
from cashback.database.router import ReplicaRouter
from kernel import replicas
from kernel.replicas import REPLICA, read_alias, reading_from
from tests.database.conftest import Pair
from tests.database.test_replica_reads import statements
from wallet.actions.demo_data import create_demo_data
from wallet.assets.models import CashbackAsset

pytestmark = pytest.mark.django_db(transaction=True)
ACTIONS = sorted((settings.BASE_DIR / "wallet/actions").glob("*.py"))
# Where it is chosen from where to read; everything else in accounts is sign-in, tokens, keys and the second factor.
CHOOSES = {"accounts/expensive_reads.py"}
AUTHENTICATION = sorted((settings.BASE_DIR / "accounts").glob("*.py"))


def names_of_replicas(path: Path) -> list[str]:
    """Return what a module imports from kernel.replicas, and its calls of `using`."""
    tree = ast.parse(path.read_text())
    imported = [
        f"{getattr(node, 'module', '')}.{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    ]
    using = [node.func.attr for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)]
    return [name for name in imported if "replicas" in name] + [name for name in using if name == "using"]


@pytest.mark.parametrize("path", [*ACTIONS, *AUTHENTICATION], ids=lambda path: f"{path.parent.name}/{path.name}")
def test_module_that_decides_does_not_choose_a_server(path: Path) -> None:
    if str(path.relative_to(settings.BASE_DIR)) not in CHOOSES:
        assert names_of_replicas(path) == []


def test_every_action_module_is_looked_at() -> None:
    assert len(ACTIONS) > 35
    assert names_of_replicas(settings.BASE_DIR / "wallet/queries/as_of.py")  # the check sees one that does


def test_code_in_a_transaction_on_the_primary_reads_from_the_primary(replica: Pair) -> None:
    with reading_from(REPLICA):
        assert (read_alias(), CashbackAsset.objects.all().db) == (REPLICA, REPLICA)
        with transaction.atomic():
            assert (read_alias(), CashbackAsset.objects.all().db) == ("default", "default")
        assert read_alias() == REPLICA


def test_who_is_calling_is_never_read_from_the_replica(replica: Pair) -> None:
    with reading_from(REPLICA):
        for model in (BrowserSession, TokenFamily, ServiceKey):
            assert ReplicaRouter().db_for_read(model) == "default"
        assert ReplicaRouter().db_for_write(CashbackAsset) == "default"


def test_actions_within_a_read_from_the_replica_send_it_nothing(replica: Pair) -> None:
    asked: list[str] = []

    def refuse(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        stack = [Path(frame.filename).name for frame in traceback.extract_stack() if "/wallet/actions/" in frame.filename]
        asked.extend(name for name in stack if not name.startswith("demo_"))
        return execute(sql, *rest)

    replica.catch_up()
    with connections[REPLICA].execute_wrapper(refuse), statements("default") as at_primary:
        with followed_closely(replica), reading_from(REPLICA):
            create_demo_data(lambda _: "correct horse battery")

    assert asked == []
    assert len(at_primary) > 150


@contextmanager
def followed_closely(replica: Pair) -> Iterator[None]:
    """Have each commit wait until the standby shows it, as each step looks for what the last one made."""
    settings = {"synchronous_standby_names": "*", "synchronous_commit": "remote_apply"}
    with replica.session_at(replica.primary) as session:
        for name, value in settings.items():
            session.execute(f"ALTER SYSTEM SET {name} = '{value}'")
        session.execute("SELECT pg_reload_conf()")
        try:
            yield
        finally:
            for name in settings:
                session.execute(f"ALTER SYSTEM RESET {name}")
            session.execute("SELECT pg_reload_conf()")


def test_session_with_the_replica_writes_nothing(replica: Pair) -> None:
    with connections[REPLICA].cursor() as cursor:
        cursor.execute("SHOW default_transaction_read_only")
        assert cursor.fetchone() == ("on",)
        with pytest.raises((OperationalError, InternalError)):
            cursor.execute("DELETE FROM accounts_user")


def test_commands_and_tasks_are_not_offered_the_replica(replica: Pair) -> None:
    assert replicas.choose_server() == "default"


def test_router_migrates_the_primary_only() -> None:
    assert ReplicaRouter().allow_migrate(REPLICA, "assets") is False
    assert ReplicaRouter().allow_migrate("default", "assets") is None
