"""The targets of `make mutants`: every module and test exists, and no module is missing."""

from pathlib import Path

import pytest
from django.conf import settings

from tests.mutants.targets import NOT_CHANGED, TARGETS

ROOT = Path(settings.BASE_DIR)


@pytest.mark.parametrize("module", TARGETS)
def test_module_and_its_tests_exist(module: str) -> None:
    assert [path for path in (module, *TARGETS[module].split()) if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("folder", ["accounts", "wallet/ledger"])
def test_every_module_of_accounts_and_ledger_is_a_target(folder: str) -> None:
    there = {str(path.relative_to(ROOT)) for path in (ROOT / folder).glob("*.py")}

    assert there == {path for path in {*TARGETS, *NOT_CHANGED} if str(Path(path).parent) == folder}
