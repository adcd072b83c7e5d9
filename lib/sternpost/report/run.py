"""Run directory -> its log history -> a page."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .page import write_page
from .sections import Curves, Section


def read_log_history(run_dir: str | Path) -> list[dict[str, Any]]:
    """The log history of a run: of its own `trainer_state.json`, else of its last checkpoint's.

    Raises:
        FileNotFoundError: neither the directory nor a checkpoint in it holds a `trainer_state.json`.
        ValueError: the file is not what the trainer writes.
    """
    run_dir = Path(run_dir)
    checkpoints = sorted(
        (folder for folder in run_dir.glob("checkpoint-*") if folder.name.split("-")[-1].isdigit()),
        key=lambda folder: int(folder.name.split("-")[-1]),
    )
    for folder in [run_dir, *reversed(checkpoints)]:
        file = folder / "trainer_state.json"
        if file.is_file():
            try:
                return list(json.loads(file.read_text("utf-8"))["log_history"])
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(
                    f"{file} is not the state of a trainer ({error!r}): it was cut short or edited; "
                    "give the directory of a run that was saved completely."
                ) from error
    raise FileNotFoundError(
        f"`run_dir` is {str(run_dir)!r}, but neither it nor a checkpoint in it holds trainer_state.json: "
        "call `trainer.save_state()` at the end of the run, or give the output directory of one that has saved."
    )


def run_report(
    run_dir: str | Path, *, title: str = "", sections: Iterable[Section] = (), output: str | Path | None = None
) -> Path:
    """Writes the report of one run, extra sections first, and returns its path (default: `report.html` in the run)."""
    run_dir = Path(run_dir)
    page = [*sections, Curves("Curves", read_log_history(run_dir))]
    return write_page(output or run_dir / "report.html", title or run_dir.resolve().name, page)
