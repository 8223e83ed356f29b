"""What `make mutants` is told: no module and no test that is not there, and no module forgotten."""

from pathlib import Path

import pytest
from django.conf import settings

from tests.mutants.targets import NOT_CHANGED, TARGETS

ROOT = Path(settings.BASE_DIR)


@pytest.mark.parametrize("module", TARGETS)
def test_a_module_and_its_tests_are_there(module: str) -> None:
    assert [path for path in (module, *TARGETS[module].split()) if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("folder", ["accounts", "wallet/ledger"])
def test_no_module_of_people_and_of_the_ledger_is_forgotten(folder: str) -> None:
    there = {str(path.relative_to(ROOT)) for path in (ROOT / folder).glob("*.py")}

    assert there == {path for path in {*TARGETS, *NOT_CHANGED} if str(Path(path).parent) == folder}
