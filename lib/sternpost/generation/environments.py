"""Environments: objects in which a conversation takes place, and whose public methods are its tools.

factories -> instances, made when they are needed and used again     Environments.begin
row -> `reset(**row)` -> what the conversation opens with            Environments.begin
"""

import inspect
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from .tools import Call, Calls, Outcome, Schema, schema_of

logger = logging.getLogger(__name__)

Factory: TypeAlias = Callable[[], Any]
Observation: TypeAlias = str | list[dict[str, Any]] | None
"""What an environment says first: text, a list of typed parts, or nothing."""

OWN = ("reset", "get_reward")
"""Public methods that are no tools."""
ATTEMPTS = 3
"""How often an environment is reset before a run fails, each time after the first as a new instance."""


@dataclass(eq=False)
class Instance:
    """An environment, and the methods of it that a model may call."""

    value: Any
    name: str
    tools: dict[str, Callable[..., Any]] = field(default_factory=dict)
    abandoned: bool = False
    """A call took too long and may still be running, so that it cannot be used again."""

    @property
    def title(self) -> str:
        """As errors call it."""
        return f"the environment `{type(self.value).__name__}`" + (f" ({self.name!r})" if self.name else "")


class Environments:
    """Makes environments, resets them for rows and uses them again.

    Args:
        factory: Makes an environment, or several such by the names that the column `environment` has.
        calls: What calls their methods.

    Raises:
        ValueError: an environment has no `reset`, or a public method that a model cannot be told of.
    """

    def __init__(self, factory: Factory | Mapping[str, Factory], calls: Calls) -> None:
        self.factories: dict[str, Factory] = dict(factory) if isinstance(factory, Mapping) else {"": factory}
        if not self.factories or not all(map(callable, self.factories.values())):
            raise ValueError(
                "`environment_factory` must be something to call without arguments, such as a class, or a mapping of "
                f"names to such, and is {factory!r}."
            )
        self.calls = calls
        self.free: dict[str, list[Instance]] = {name: [self.make(name)] for name in self.factories}
        self.used: list[Instance] = []
        self.schemas: dict[str, list[Schema]] = {
            name: [schema_of(tool, f"{first.title} (each public method is a tool)") for tool in first.tools.values()]
            for name, (first,) in self.free.items()
        }
        self.kinds: list[type] = [type(first.value) for (first,) in self.free.values()]
        """The class of each."""

    def make(self, name: str) -> Instance:
        """A new environment.

        Raises:
            ValueError: it has no `reset`.
        """
        instance = Instance(self.factories[name](), name)
        kind = type(instance.value)
        if not callable(getattr(kind, "reset", None)):
            raise ValueError(f"{instance.title} has no method `reset`. Give it one; it may do nothing.")
        names = [each for each in dir(kind) if not each.startswith("_") and each not in OWN]
        methods = [each for each in names if inspect.isroutine(getattr(kind, each))]
        instance.tools = {each: getattr(instance.value, each) for each in methods}
        return instance

    def name_of(self, row: Mapping[str, Any], at: int) -> str:
        """Which environment a row takes place in.

        Raises:
            ValueError: there is none of that name.
        """
        if list(self.factories) == [""]:
            return ""
        name = row.get("environment")
        if name not in self.factories:
            known = ", ".join(map(repr, self.factories))
            raise ValueError(
                f"row {at}, column `environment`: {name!r} is not in `environment_factory`, which has {known}. Add it, "
                "or correct the row."
            )
        return name

    def begin(self, rows: Sequence[Mapping[str, Any]]) -> list[tuple[Instance, Observation]]:
        """An environment for each row, reset, and what it says. Those of the last call are used again.

        An environment whose `reset` raises is thrown away, with a warning, for a new one.

        Raises:
            RuntimeError: `reset` raised of several instances, one after the other.
        """
        for each in self.used:
            if not each.abandoned:
                self.free[each.name].append(each)
        self.used = []
        names = [self.name_of(row, at) for at, row in enumerate(rows)]
        found = [(self.free[name].pop(0) if self.free[name] else self.make(name), None) for name in names]
        begun: list[tuple[Instance, Observation]] = list(found)
        waiting = list(range(len(rows)))
        for attempt in range(ATTEMPTS):
            outcomes = self.calls.run([[self.reset_of(begun[at][0], rows[at])] for at in waiting])
            still = []
            for at, (outcome,) in zip(waiting, outcomes, strict=True):
                instance = begun[at][0]
                if outcome.error is None:
                    begun[at] = (instance, checked(outcome, instance))
                    continue
                self.complain(instance, at, outcome, attempt)
                begun[at] = (self.make(instance.name), None)
                still.append(at)
            waiting = still
        self.used = [instance for instance, _ in begun]
        return begun

    def reset_of(self, instance: Instance, row: Mapping[str, Any]) -> Call:
        """The call of `reset` with the columns of a row, as far as it takes them; not with the one that chooses it.

        Raises:
            ValueError: it takes something that is no column.
        """
        signature = inspect.signature(instance.value.reset)
        takes_all = any(each.kind is inspect.Parameter.VAR_KEYWORD for each in signature.parameters.values())
        columns = {name: value for name, value in row.items() if name != "environment" or not instance.name}
        taken = {name: value for name, value in columns.items() if takes_all or name in signature.parameters}
        try:
            bound = signature.bind(**taken)
        except TypeError as error:
            raise ValueError(
                f"the `reset` of {instance.title} does not fit the columns {', '.join(columns)}: {error}. Take them as "
                "`**row`."
            ) from error
        return Call(instance.value.reset, bound)

    def complain(self, instance: Instance, at: int, outcome: Outcome, attempt: int) -> None:
        """Warn of a `reset` that raised, or raise if it was the last attempt."""
        problem = f"{instance.title} failed to reset for row {at}: {type(outcome.error).__name__}: {outcome.error}"
        if attempt + 1 == ATTEMPTS:
            raise RuntimeError(
                f"{problem}. So did {ATTEMPTS - 1} others of it. Correct it or the row."
            ) from outcome.error
        logger.warning("%s. It is thrown away, and a new one is tried.", problem)


def checked(outcome: Outcome, instance: Instance) -> Observation:
    """What `reset` returned.

    Raises:
        TypeError: it is neither text, nor a list of parts that are text, nor nothing.
    """
    value = outcome.value
    parts = value if isinstance(value, list) else []
    if value is None or isinstance(value, str) or (parts and all(is_text(part) for part in parts)):
        return value
    raise TypeError(
        f"the `reset` of {instance.title} returned {value!r}. Return text, None, or a list of parts like "
        '{"type": "text", "text": "..."}.'
    )


def is_text(part: Any) -> bool:
    return isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str)
