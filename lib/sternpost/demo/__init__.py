"""A tiny trained model, its tokenizer and data sets in every row format, inside the package: no network anywhere.

`python -m sternpost.demo` shows what training does to the model; `python -m sternpost.demo.build` makes it all anew.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datasets import Dataset

__all__ = ["datasets", "load", "path"]

ASSETS = Path(__file__).parent / "assets"


def path(name: str = "model") -> str:
    """Path of the model's directory (weights and tokenizer), or of the JSONL file of a data set.

    Raises:
        ValueError: no data set of the demo has this name.
    """
    if name == "model":
        return str(ASSETS / "model")
    if name not in datasets():
        raise ValueError(
            f"`name` is {name!r}, but the demo has no such part: use 'model' or a data set, one of {datasets()}."
        )
    return str(ASSETS / f"{name}.jsonl")


def datasets() -> list[str]:
    """Names of the demo's data sets, sorted."""
    return sorted(file.stem for file in ASSETS.glob("*.jsonl"))


def load(name: str) -> Dataset:
    """One of the demo's data sets, read without a cache directory."""
    if name == "model":
        raise ValueError(f"`name` is 'model', which is not a data set: use one of {datasets()}.")
    file = Path(path(name))
    from datasets import Dataset

    return Dataset.from_list([json.loads(line) for line in file.read_text("utf-8").splitlines()])
