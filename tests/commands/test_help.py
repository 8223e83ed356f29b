"""The help of every command."""

import pytest
from django.core.management import get_commands, load_command_class

COMMANDS = [
    ("cashback", "restored"),
    ("dev", "bench"),
    ("dev", "prove"),
    ("dev", "prove_claims"),
    ("dev", "prove_cluster"),
    ("dev", "prove_payments"),
    ("dev", "run"),
    ("dev", "test_clock"),
    ("wallet", "approvals"),
    ("wallet", "expire_assets"),
    ("wallet", "explain"),
    ("wallet", "import_assets"),
    ("wallet", "ownership_report"),
    ("wallet", "schedule_tasks"),
    ("wallet", "seed"),
    ("wallet", "send_notices"),
    ("wallet", "summary"),
]


@pytest.mark.parametrize(("app", "name"), COMMANDS)
def test_help_explains_the_command_and_each_of_its_options(app: str, name: str) -> None:
    parser = load_command_class(app, name).create_parser("manage.py", name)

    assert len(parser.description or "") > 40
    assert [action.dest for action in parser._actions if not action.help] == []


@pytest.mark.parametrize("name", ["expire_assets", "import_assets", "open_lots", "schedule_tasks", "seed", "send_notices"])
def test_commands_that_change_data_have_a_dry_run(name: str) -> None:
    parser = load_command_class(get_commands()[name], name).create_parser("manage.py", name)

    assert "--dry-run" in parser.format_help()
