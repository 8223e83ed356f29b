"""A bare machine per test: real servers, everything stopped and removed afterwards."""

from collections.abc import Iterator

import pytest

from tests.services import machines
from tests.services.machines import Eventually, Machine, bare_machine


@pytest.fixture
def machine() -> Iterator[Machine]:
    """A machine on which nothing has run yet."""
    with bare_machine() as machine:
        yield machine


@pytest.fixture(scope="module")
def _used() -> Iterator[Machine]:
    with bare_machine() as machine:
        machine.python("services.acquire_lease()")
        yield machine


@pytest.fixture
def used(_used: Machine) -> Machine:
    """A machine on which the servers have run before, and are down now."""
    _used.python("services.stop_services()")
    return _used


@pytest.fixture(scope="module")
def running() -> Iterator[Machine]:
    """A machine with both servers up for the whole module; its tests only look."""
    with bare_machine() as machine:
        user = machine.user()
        yield machine
        user.communicate("")


@pytest.fixture(name="eventually")
def _eventually() -> Eventually:
    return machines.eventually
