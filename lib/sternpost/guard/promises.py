"""Facts of a room: what its `contract.py` states as data."""

from collections.abc import Iterator
from typing import Any

import griffe

from .facts import Fact, Origin, Problem, make_fact
from .resolve import Resolver
from .values import literal

TABLES = ("ROWS", "OPTIONAL_COLUMNS", "BATCH", "METRICS", "HOOKS", "CHECKPOINT")
"""Names in a `contract.py` that are promises; the others are its own business."""


class Contract:
    """The promises of one room. A table that is no literal leaves a `Problem` and states nothing."""

    def __init__(self, room: str, module: griffe.Module, resolver: Resolver) -> None:
        self.room = room
        self.problems: list[Problem] = []
        self._tables: dict[str, tuple[Any, Origin]] = {}
        for name in TABLES:
            thing = resolver.member(module, name)
            if isinstance(thing, griffe.Attribute):
                value, origin = literal(thing.value, module, resolver), resolver.tree.origin(thing)
                if value is None:
                    self.problems.append(
                        Problem(origin, f"`{name}` of a contract must be a literal: it is read, not run.")
                    )
                else:
                    self._tables[name] = (value, origin)

    @property
    def hooks(self) -> frozenset[str]:
        return frozenset(self._names("HOOKS"))

    def facts(self, hooked: str) -> Iterator[Fact]:
        """All promises of the room; its hooks belong to the public class at `hooked`."""
        yield from self._rows()
        yield from self._layouts()
        for table, kind, owner in (
            ("METRICS", "metric", self.room),
            ("CHECKPOINT", "checkpoint", self.room),
            ("HOOKS", "hook", hooked),
        ):
            for name in self._names(table):
                yield make_fact(kind, owner, name, self._origin(table))

    def _rows(self) -> Iterator[Fact]:
        rows, origin = self._tables.get("ROWS", ({}, None))
        for row, columns in rows.items() if isinstance(rows, dict) else ():
            yield make_fact("row", self.room, str(row), origin)
            for column in _strings(columns):
                yield make_fact("column", self.room, f"{row}.{column}", origin, required="yes")
        for column in self._names("OPTIONAL_COLUMNS"):
            yield make_fact("column", self.room, column, self._origin("OPTIONAL_COLUMNS"), required="no")

    def _layouts(self) -> Iterator[Fact]:
        """`BATCH` maps keys to shapes, or layouts to such maps."""
        batch, origin = self._tables.get("BATCH", ({}, None))
        for name, content in batch.items() if isinstance(batch, dict) else ():
            if isinstance(content, dict):
                yield make_fact("batch", self.room, str(name), origin)
                for key, shape in content.items():
                    yield make_fact("batch", self.room, f"{name}.{key}", origin, shape=str(shape))
            else:
                yield make_fact("batch", self.room, str(name), origin, shape=str(content))

    def _names(self, table: str) -> list[str]:
        return _strings(self._tables[table][0]) if table in self._tables else []

    def _origin(self, table: str) -> Origin | None:
        return self._tables[table][1] if table in self._tables else None


def _strings(value: Any) -> list[str]:
    """The strings of a tuple, list, set or of the keys of a mapping."""
    if isinstance(value, str):
        return [value]
    return [item for item in value if isinstance(item, str)] if isinstance(value, tuple | list | set | dict) else []
