"""Checkpoints are whole or not there.

transformers writes `trainer_state.json` last, so a checkpoint that lacks it was interrupted.
"""

import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

STATE = "trainer_state.json"
INCOMPLETE = "checkpoint-is-incomplete.txt"
"""What transformers leaves in a checkpoint that it is writing when a job is about to be killed."""


def check_writable(directory: str | Path) -> None:
    """Create `directory` and make sure that files can be written there, before any work is done.

    Raises:
        OSError: they cannot; the message names the option, the reason and the way out.
    """
    try:
        Path(directory).mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=directory, prefix=".writable-"):
            pass
    except OSError as error:
        raise type(error)(
            error.errno,
            f"`output_dir={str(directory)!r}` cannot be written: {error.strerror}. Choose another directory, or mend "
            "its permissions or the space on its disk",
        ) from error


@contextmanager
def all_or_nothing(directory: str | Path) -> Iterator[None]:
    """Remove what was written to `directory` if writing fails half-way.

    Raises:
        OSError: writing failed; the message names the directory, the reason and the way out.
    """
    directory = Path(directory)
    existed = directory.exists()
    before = set(directory.iterdir()) if existed else set()
    (directory / STATE).unlink(missing_ok=True)  # until it is written anew, the checkpoint counts as interrupted
    try:
        yield
    except Exception as error:
        for path in set(directory.iterdir()) - before if directory.exists() else ():
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        if not existed and directory.exists():
            directory.rmdir()
        raise OSError(
            f"Saving to {str(directory)!r} failed: {error}. Nothing half-written was left there. Free space on the "
            "disk or mend its permissions, then resume from the last checkpoint with `resume_from_checkpoint=True`."
        ) from error


def is_whole(checkpoint: str | Path) -> bool:
    """Whether a checkpoint was written to its end."""
    return (Path(checkpoint) / STATE).is_file() and not (Path(checkpoint) / INCOMPLETE).exists()


def last_whole(output_dir: str | Path) -> str | None:
    """The newest checkpoint of a run that was written to its end."""
    found = [
        (int(match[1]), path)
        for path in (Path(output_dir).iterdir() if Path(output_dir).is_dir() else ())
        if (match := re.fullmatch(r"checkpoint-(\d+)", path.name)) and is_whole(path)
    ]
    return str(max(found)[1]) if found else None


def resolve_resume(resume: bool | str | None, output_dir: str | Path) -> str | None:
    """Turn what a user asked to resume from into the path of a whole checkpoint, or None to start afresh.

    Raises:
        ValueError: there is no whole checkpoint to resume from.
    """
    if not resume:
        return None
    if resume is not True:
        if not is_whole(resume):
            older = last_whole(Path(resume).parent)
            hint = f"The last whole one is {older!r}." if older else "There is no whole one beside it: start afresh."
            raise ValueError(
                f"`resume_from_checkpoint={str(resume)!r}` holds no {STATE}: it does not exist or its writing was "
                f"interrupted. {hint}"
            )
        return str(resume)
    last = last_whole(output_dir)
    if last is None:
        raise ValueError(
            f"`resume_from_checkpoint=True` found no whole checkpoint in `output_dir={str(output_dir)!r}`. Leave it "
            "out to start afresh, or name a checkpoint."
        )
    return last


def load_rank_state(path: Path, trainer: str, batches: dict[str, int], device: str) -> dict[str, Any]:
    """What a rank of a trainer has kept in a checkpoint; `batches` are the numbers that decide what it is about.

    Raises:
        ValueError: there is nothing, or it was kept by another trainer, or with other numbers.
    """
    way_out = "Go on with the numbers that the run began with, or start another run from the checkpoint's model."
    if not path.exists():
        raise ValueError(
            f"the checkpoint {path.parent} has no `{path.name}`: it was made by fewer processes, or by another "
            f"trainer. {way_out}"
        )
    state: dict[str, Any] = torch.load(path, weights_only=False, map_location=device)
    if state["trainer"] != trainer:
        raise ValueError(
            f"the checkpoint {path.parent} was made by {state['trainer']}, not by {trainer}. Go on with the method "
            "that the run began with, or start another run from the checkpoint's model."
        )
    for name, value in batches.items():
        if state["batches"][name] != value:
            raise ValueError(
                f"the checkpoint {path.parent} was made with `{name}={state['batches'][name]}`, and now it is {value}, "
                f"so that its completions are not those of the next steps. {way_out}"
            )
    return state
