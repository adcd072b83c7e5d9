"""Consumers of what a package promises as data: contracts of rooms, the command line, its metadata, its shapes."""

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .snippets import Consumer

_TABLES = {"row": "ROWS", "metric": "METRICS", "checkpoint": "CHECKPOINT", "hook": "HOOKS", "batch": "BATCH"}


def in_contract(consumer: "Consumer") -> str:
    """A name in a table of the room's contract, which its code uses. Metrics of no room are looked for in code."""
    fact = consumer.fact
    if fact.get("seen"):
        test = f"assert {fact.name.strip('*')!r} in inspect.getsource(sys.modules[{{it}}.__module__])"
        return consumer.using(consumer.owner, test, imports=("inspect", "sys"))
    layout, dot, key = fact.name.partition(".")
    if fact.kind == "batch" and dot:
        return _contract(_room(consumer), f'assert "{key}" in contract.BATCH["{layout}"]')
    return _contract(_room(consumer), f'assert "{fact.name}" in contract.{_TABLES[fact.kind]}')


def reads_column(consumer: "Consumer") -> str:
    row, dot, column = consumer.fact.name.partition(".")
    table = f'ROWS["{row}"]' if dot else "OPTIONAL_COLUMNS"
    return _contract(consumer.owner, f'assert "{column or row}" in contract.{table}')


def rows_suffice(consumer: "Consumer") -> str:
    """Rows with the columns that were needed."""
    row = consumer.fact.name.partition(".")[0]
    known = (fact.name for fact in consumer.old.owned("column", consumer.owner) if fact.get("required") == "yes")
    columns = sorted(name.partition(".")[2] for name in known if name.startswith(f"{row}."))
    return _contract(consumer.owner, f'assert set(contract.ROWS["{row}"]) <= set({columns})')


def has_shape(consumer: "Consumer") -> str:
    layout, _, key = consumer.fact.name.partition(".")
    place = f'["{layout}"]["{key}"]' if key else f'["{layout}"]'
    return _contract(consumer.owner, f'assert contract.BATCH{place} == "{consumer.change.before}"')


def _contract(room: str, test: str) -> str:
    return f"from {room} import contract\n{test}"


def _room(consumer: "Consumer") -> str:
    """The room itself, or that of the class that a hook belongs to."""
    owner, name = consumer.owner, consumer.owner.rpartition(".")[2]
    rooms = [fact.owner for fact in consumer.old.kind("module") if fact.get("room")]
    return next((room for room in rooms if consumer.old.home(f"{room}.{name}") == owner), owner)


def has_command(consumer: "Consumer") -> str:
    return f'from {consumer.commands} import COMMANDS\nassert "{consumer.fact.name}" in COMMANDS'


def has_flag(consumer: "Consumer") -> str:
    """The option of the configuration that it sets, or its short name."""
    class_, _, field = (consumer.fact.get("field") or "").rpartition(".")
    flag = consumer.fact.name.lstrip("-")
    if flag != field:
        return f'from {consumer.commands}.arguments import ALIASES\nassert ALIASES["{flag}"] == "{field}"'
    return consumer.using(class_, f'assert "{field}" in {{it}}.__dataclass_fields__')


_REQUIREMENTS = (
    "from importlib.metadata import requires\n"
    "from packaging.requirements import Requirement\n"
    'found = [Requirement(text) for text in requires("{package}") or ()]\n'
    'found = [r for r in found if r.name == "{name}" and (not r.marker or r.marker.evaluate({{"extra": "{extra}"}}))]\n'
)


def _requirements(consumer: "Consumer") -> str:
    package, _, extra = consumer.owner.rstrip("]").partition("[")
    return _REQUIREMENTS.format(package=package, name=consumer.fact.name.partition("[")[0], extra=extra)


def is_installed(consumer: "Consumer") -> str:
    return _requirements(consumer) + "assert found"


def old_version_suffices(consumer: "Consumer") -> str:
    lowest = (consumer.change.before or "0").removesuffix(".*")
    return _requirements(consumer) + f'assert all(r.specifier.contains("{lowest}", prereleases=True) for r in found)'


def new_version_works(consumer: "Consumer") -> str:
    """A version that was allowed and is not: the old end itself, or the new one, or what comes after it."""
    before, after = consumer.change.before or "", consumer.change.after or ""
    if before.startswith("<="):
        version = before[2:]
    else:
        version = after.lstrip("<=") + (".999" if after.startswith("<=") else "")
    return _requirements(consumer) + f'assert all(r.specifier.contains("{version}", prereleases=True) for r in found)'


def old_python_suffices(consumer: "Consumer") -> str:
    lowest = (consumer.change.before or "3.0").removesuffix(".*")
    return (
        "from importlib.metadata import metadata\nfrom packaging.specifiers import SpecifierSet\n"
        f'python = SpecifierSet(metadata("{consumer.owner}")["Requires-Python"] or "")\n'
        f'assert python.contains("{lowest}")'
    )


def has_extra(consumer: "Consumer") -> str:
    test = f'assert "{consumer.fact.name}" in (metadata("{consumer.owner}").get_all("Provides-Extra") or ())'
    return f"from importlib.metadata import metadata\n{test}"


def has_script(consumer: "Consumer") -> str:
    test = f'assert [e for e in distribution("{consumer.owner}").entry_points if e.name == "{consumer.fact.name}"]'
    return f"from importlib.metadata import distribution\n{test}"


def implements(consumer: "Consumer") -> str:
    """An implementer that defines what the release asked for."""
    methods = consumer.old.owned("method", consumer.owner)
    written = sorted(fact.name for fact in methods if fact.get("abstract") == "yes")
    return consumer.using(
        consumer.owner,
        "own = {name for name in vars({it}) if not name.startswith('_')}",
        "asked = own if getattr({it}, '_is_protocol', False) else getattr({it}, '__abstractmethods__', ())",
        f"assert set(asked) <= set({written}), sorted(asked)",
    )


def unpacks(consumer: "Consumer") -> str:
    return consumer.using(consumer.owner, f"assert len({{it}}._fields) == {consumer.change.before}, {{it}}._fields")


WRITERS: "dict[str, Callable[[Consumer], str]]" = {
    "method-abstract": implements,
    "tuple-grown": unpacks,
    "hook-removed": in_contract,
    "hook-renamed": in_contract,
    "row-removed": in_contract,
    "column-removed": reads_column,
    "column-required": rows_suffice,
    "batch-key-removed": in_contract,
    "batch-shape-changed": has_shape,
    "metric-removed": in_contract,
    "checkpoint-file-removed": in_contract,
    "command-removed": has_command,
    "flag-removed": has_flag,
    "script-removed": has_script,
    "extra-removed": has_extra,
    "dependency-optional": is_installed,
    "dependency-floor-raised": old_version_suffices,
    "dependency-ceiling-lowered": new_version_works,
    "python-floor-raised": old_python_suffices,
}
