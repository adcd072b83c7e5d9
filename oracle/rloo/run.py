"""Runs a case of RLOO in one library."""

from typing import Any

from ..online import OnlineCase, OnlineRun
from ..online import run as run_online
from ..rows import Rows


def run(library: str, case: OnlineCase, rows: Rows | None = None, *, mixed: bool = False, **options: Any) -> OnlineRun:
    """What the library does, with more options than those of the case, and perhaps on other rows."""
    return run_online(library, "RLOO", case, rows, mixed=mixed, **options)
