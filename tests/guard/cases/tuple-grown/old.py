from collections import namedtuple
from typing import NamedTuple

__all__ = ["Batch", "Span"]

Span = namedtuple("Span", "start stop")


class Batch(NamedTuple):
    ids: list
    mask: list
