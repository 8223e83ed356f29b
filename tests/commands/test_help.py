"""The help of every command."""

import pytest
from django.core.management import get_commands, load_command_class

COMMANDS = [
    "expire_assets",
    "import_assets",
    "ownership_report",
    "prove_claims",
    "schedule_tasks",
    "seed",
    "summary",
]


@pytest.mark.parametrize("name", COMMANDS)
def test_help_explains_the_command_and_each_of_its_options(name: str) -> None:
    parser = load_command_class(get_commands()[name], name).create_parser("manage.py", name)

    assert len(parser.description or "") > 40
    assert [action.dest for action in parser._actions if not action.help] == []


@pytest.mark.parametrize("name", ["expire_assets", "import_assets", "schedule_tasks", "seed"])
def test_commands_that_change_data_have_a_dry_run(name: str) -> None:
    parser = load_command_class(get_commands()[name], name).create_parser("manage.py", name)

    assert "--dry-run" in parser.format_help()
