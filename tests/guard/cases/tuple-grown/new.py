from collections import namedtuple
from typing import NamedTuple

__all__ = ["Batch", "Span"]

Span = namedtuple("Span", ["start", "stop", "step"], defaults=[1])


class Batch(NamedTuple):
    ids: list
    mask: list
    labels: list | None = None
