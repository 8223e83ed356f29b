"""Documents agree with the code: variables, links, paths, commands and decision records."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import get_commands
from drf_spectacular.generators import SchemaGenerator

import cashback.urls  # noqa: F401  (imports every refusal)
from cashback.http.problem_pages import kinds_by_code
from wallet.api.payment_bodies import MAX_REQUEST_LINES, ReasonField
from wallet.ledger.payment_state import PaymentState

ROOT = Path(__file__).resolve().parent.parent
OPERATIONS = ROOT / "docs/operations.md"
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
DECISIONS = sorted((ROOT / "docs/adr").glob("0*.md"))
PACKAGES = ("kernel", "accounts", "wallet", "cashback")
NAMES = [str(path.relative_to(ROOT)) for path in DOCUMENTS]
# Written by a run of `make prove` or `make bench`: what they name is as it was then.
WRITTEN_BY_RUNS = {"docs/proofs.md", "docs/benchmarks.md", "docs/cluster.md"}
HISTORICAL = WRITTEN_BY_RUNS | {"CHANGELOG.md"}
CURRENT = [name for name in NAMES if name not in HISTORICAL]
# Where environment variables of operators are read.
READERS = [*(ROOT / "cashback").rglob("*.py"), *(ROOT / "dev/services").glob("*.py"), ROOT / "dev/management/commands/run.py"]
READERS.append(ROOT / "kernel/metrics.py")
# Of Python, of the system, or of the tests' own servers: operators do not set them.
NOT_OURS = {"DJANGO_SETTINGS_MODULE", "PATH", "XDG_STATE_HOME", "CASHBACK_LOCAL_PROFILE", "CASHBACK_LOCAL_LINGER"}

BODY_MEMBERS = {"errors", "detail", "code", "type", "request_id"}  # of a problem


def is_reader(called: ast.expr) -> bool:
    """Return whether a call reads an environment variable, e.g. `env.str()`, `environ.get()`, `read_positive_int()`."""
    if isinstance(called, ast.Attribute):
        return ast.unparse(called.value).split(".")[-1] in ("env", "environ")
    return isinstance(called, ast.Name) and bool(re.fullmatch(r"_?(read|positive)(_\w+)?", called.id))


def variables_read(path: Path) -> set[str]:
    """Return the names in upper case that a file reads as environment variables."""
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call) and node.args]
    firsts = [call.args[0] for call in calls if is_reader(call.func)]
    names = {first.value for first in firsts if isinstance(first, ast.Constant) and isinstance(first.value, str)}
    return {name for name in names if re.fullmatch("[A-Z][A-Z_]+", name)}


def documented_variables() -> list[str]:
    section = OPERATIONS.read_text().split("\n## Variables", 1)[1].split("\n## ", 1)[0]
    cells = re.findall(r"^\| (`[^|]+`) \|", section, re.MULTILINE)
    return [name for cell in cells for name in re.findall(r"`([A-Z_]+)`", cell)]


def headings(path: Path) -> set[str]:
    """Return the anchors of a document's headings, as code hosts make them."""
    titles = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def links(path: Path) -> Iterator[str]:
    """Yield the relative targets of a document's links."""
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text()):
        if "://" not in target:
            yield target


def resolves(path: Path, target: str) -> bool:
    file, _, anchor = target.partition("#")
    linked = (path.parent / file).resolve() if file else path
    return linked.exists() and (not anchor or anchor in headings(linked))


def test_every_variable_that_is_read_is_documented_and_the_reverse() -> None:
    read = {name for path in READERS for name in variables_read(path)} - NOT_OURS

    assert len(read) > 30
    assert set(documented_variables()) == read


def test_no_variable_is_documented_twice() -> None:
    assert [name for name, count in Counter(documented_variables()).items() if count > 1] == []


@pytest.mark.parametrize("name", NAMES)
def test_every_link_leads_to_a_file_and_a_heading(name: str) -> None:
    path = ROOT / name

    assert [target for target in links(path) if not resolves(path, target)] == []


@pytest.mark.parametrize("name", CURRENT)
def test_every_path_that_is_named_exists(name: str) -> None:
    text = (ROOT / name).read_text()
    named = re.findall(r"`((?:accounts|cashback|dev|docs|examples|kernel|locale|tests|wallet)/[\w/]*(?:\.\w+)?)`", text)

    assert [path for path in named if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("name", CURRENT)
def test_every_command_that_is_named_exists(name: str) -> None:
    named = set(re.findall(r"manage\.py ([a-z_]+)", (ROOT / name).read_text()))

    assert named - get_commands().keys() == set()


@pytest.mark.parametrize("name", CURRENT)
def test_every_make_target_that_is_named_exists(name: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"`make ([a-z-]+)", (ROOT / name).read_text()))

    assert named - targets == set()


def test_every_function_that_the_architecture_names_is_defined_in_a_file_that_it_names() -> None:
    text = (ROOT / "docs/architecture.md").read_text()
    functions = set(re.findall(r"`(?:\w+\.)?([a-z]\w+)\(\)`", text)) - {"clock_timestamp", "save"}
    files = {Path(name).name for name in re.findall(r"`([\w/]+\.py)`", text)}
    sources = [path.read_text() for package in PACKAGES for path in (ROOT / package).rglob("*.py") if path.name in files]
    defined = {name for source in sources for name in re.findall(r"^\s*def (\w+)\(", source, re.MULTILINE)}

    assert len(functions) > 15
    assert functions - defined == set()


def error_codes(pattern: str = ".*") -> set[str]:
    """Return the codes that the matching lines of the README's error codes name."""
    section = (ROOT / "README.md").read_text().split("\n## Error codes", 1)[1].split("\n## ", 1)[0]
    lines = re.findall(rf"^{pattern}$", section, re.MULTILINE)
    # `errors` and the others are members of the body, not codes.
    return {code for line in lines for code in re.findall(r"`([a-z_]+)`", line)} - BODY_MEMBERS


def test_the_readme_lists_the_codes_of_the_schema() -> None:
    schema: Any = SchemaGenerator().get_schema(request=None, public=True)

    assert error_codes(r"\| \d.*") == set(schema["components"]["schemas"]["Problem"]["properties"]["code"]["enum"])


def test_the_readme_names_every_code_that_has_a_page() -> None:
    assert error_codes() == set(kinds_by_code())


def test_the_page_of_payments_explains_every_state() -> None:
    page = (ROOT / "docs/money.md").read_text()

    assert re.findall(r"^\| `([A-Z_]+)` \|", page, re.MULTILINE) == list(PaymentState)


def test_the_page_of_payments_states_the_limits_of_grants() -> None:
    page = (ROOT / "docs/money.md").read_text()

    assert f"1 to {ReasonField().max_length} characters" in page
    assert f"up to {MAX_REQUEST_LINES} lines in a body of up to {settings.DATA_UPLOAD_MAX_MEMORY_SIZE // 1024} kB" in page


@pytest.mark.parametrize("path", DECISIONS, ids=lambda path: path.stem)
def test_a_decision_has_its_number_a_status_and_a_date(path: Path) -> None:
    lines = path.read_text().splitlines()

    assert lines[0].startswith(f"# {int(path.name[:4])}. ")
    assert re.fullmatch(r"Status: (accepted|superseded by .+)", lines[2])
    assert re.match(r"Date: 20\d\d-\d\d-\d\d", lines[3])


def test_the_index_lists_every_decision() -> None:
    index = (ROOT / "docs/adr/README.md").read_text()

    assert re.findall(r"\]\((0\S+\.md)\)", index) == [path.name for path in DECISIONS]
