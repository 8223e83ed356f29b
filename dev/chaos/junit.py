"""Results of the proofs that are tests, from pytest's report (--junitxml)."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree  # noqa: S405  (written by our own pytest)

from dev.chaos.markdown_report import Row

WHAT = {
    "P1": "any sequence of operations, against a dictionary as the model",
    "P3": "another transaction before or after each step of a claim",
    "P4": "a claim that raises, exits, loses its session or times out before or after each step",
    "P6": "requests that the schema allows, and many that it does not, from four callers",
    "T1": "200 users at once at one credit, over HTTP",
    "T2": "a pool of 1,000 claimed by 50 users with 40 requests each, over HTTP",
}


def junit_rows(reports: Sequence[Path]) -> list[Row]:
    """Return a line for each proof; the property `proof` of a test names the proof it belongs to."""
    cases = defaultdict[str, list[ElementTree.Element]](list)
    for report in reports:
        for case in ElementTree.parse(report).iter("testcase"):  # noqa: S314
            cases[recorded_properties(case).get("proof", "?")].append(case)
    return [junit_row(name, group) for name, group in cases.items()]


def junit_row(name: str, cases: list[ElementTree.Element]) -> Row:
    """Return the line of one proof."""
    count, claims = (sum(int(recorded_properties(case).get(key, 0)) for case in cases) for key in ("count", "claims"))
    found = [f"{case.get('name')}: {first_line(bad)}" for case in cases for bad in [*case.iter("failure"), *case.iter("error")]]
    notes = dict.fromkeys(note for case in cases if (note := recorded_properties(case).get("note")))
    return Row(name, WHAT.get(name, "a test that did not start"), count, claims, 0, 0, len(found), ", ".join(notes), found)


def recorded_properties(case: ElementTree.Element) -> dict[str, str]:
    """Return the properties that a test recorded."""
    return {found.get("name", ""): found.get("value", "") for found in case.iter("property")}


def first_line(bad: ElementTree.Element) -> str:
    """Return the first line of a failure."""
    return (bad.get("message") or bad.text or "it failed").strip().partition("\n")[0]
