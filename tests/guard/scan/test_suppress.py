"""Comments that accept a hit."""

from pathlib import Path

import pytest

from .projects import BASE, scanned

NEW = BASE.replace("value=0", "padding_value=0")


@pytest.mark.parametrize(
    "line",
    [
        "pad(1, value=2)  # guard: ignore[argument-gone] we pin the old one",
        "# guard: ignore[argument-gone] we pin the old one\npad(1, value=2)",
        "pad(1, value=2)  # guard: ignore we pin the old one",
    ],
)
def test_a_reason_is_enough(line: str, tmp_path: Path):
    """On the line, or alone above it; the reason is reported."""
    found = scanned(tmp_path, f"from lib import pad\n{line}\n", BASE, NEW)
    assert (found.hits, found.code, found.complaints) == ([], 0, [])
    assert [reason for _, reason in found.accepted] == ["we pin the old one"]


WRONG = {
    "pad(1, value=2)  # guard: ignore[argument-gone]": "accepts nothing without a reason",
    "pad(1, value=2)  # guard: ignore[no-such] because": "there is no rule `no-such`",
    "pad(1)  # guard: ignore[argument-gone] because": "nothing to ignore here any more",
}


@pytest.mark.parametrize("line", sorted(WRONG))
def test_comments_that_accept_nothing_are_told(line: str, tmp_path: Path):
    """No reason, no such rule, nothing to accept."""
    found = scanned(tmp_path, f"from lib import pad\n{line}\n", BASE, NEW)
    (complaint,) = found.complaints
    assert complaint.startswith("app.py:2: ")
    assert WRONG[line] in complaint
    assert not found.accepted


def test_a_string_is_no_comment(tmp_path: Path):
    """Only comments speak."""
    code = "from lib import pad\npad('# guard: ignore because', value=2)\n"
    assert len(scanned(tmp_path, code, BASE, NEW).hits) == 1
