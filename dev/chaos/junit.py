"""What proofs that are tests came to, as pytest reported it (--junitxml): models, requests made up, points, crowds."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree  # noqa: S405  (pytest wrote it a moment ago)

from dev.chaos.markdown_report import Row

WHAT = {
    "P1": "any sequence of acts, against a plain dict",
    "P3": "somebody else acts before or after a step of a claim",
    "P4": "a claim raises, exits, loses its session or dozes off before or after a step",
    "P6": "whatever the schema allows, and much that it does not, sent by four callers",
    "T1": "200 users at once at one credit, over HTTP",
    "T2": "a pool of 1,000 drained by 50 users who ask 40 times, over HTTP",
}


def junit_rows(reports: Sequence[Path]) -> list[Row]:
    """Return a line for each proof that the reports' tests belong to; a test says so by its properties."""
    cases = defaultdict[str, list[ElementTree.Element]](list)
    for report in reports:
        for case in ElementTree.parse(report).iter("testcase"):  # noqa: S314
            cases[test_properties(case).get("proof", "?")].append(case)
    return [junit_row(name, of_it) for name, of_it in cases.items()]


def junit_row(name: str, cases: list[ElementTree.Element]) -> Row:
    """Return the line of one proof."""
    count, claims = (sum(int(test_properties(case).get(key, 0)) for case in cases) for key in ("count", "claims"))
    found = [f"{case.get('name')}: {first_line(bad)}" for case in cases for bad in [*case.iter("failure"), *case.iter("error")]]
    notes = dict.fromkeys(note for case in cases if (note := test_properties(case).get("note")))
    return Row(name, WHAT.get(name, "a test that never began"), count, claims, 0, 0, len(found), ", ".join(notes), found)


def test_properties(case: ElementTree.Element) -> dict[str, str]:
    """Return what a test recorded of itself."""
    return {each.get("name", ""): each.get("value", "") for each in case.iter("property")}


def first_line(bad: ElementTree.Element) -> str:
    """Return what a failure says first."""
    return (bad.get("message") or bad.text or "it failed").strip().partition("\n")[0]
