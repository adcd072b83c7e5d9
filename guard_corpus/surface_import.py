"""What importing a package says: run by `surface_measure.py` in an environment that can import it.

    python surface_import.py PACKAGE MODULE...   -> JSON: module -> name -> {"kind", "fields": {name: default}, "made"}

"made" holds what the fields are once an instance is made with as few arguments as it takes: `given` are those.

Names that cannot be imported there (a library that has moved on) are given with their error.
"""

import dataclasses
import importlib
import inspect
import json
import sys
import warnings


def default_of(field: dataclasses.Field) -> str | None:
    if field.default is not dataclasses.MISSING:
        return repr(getattr(field.default, "value", field.default))
    if field.default_factory is not dataclasses.MISSING:
        value = field.default_factory()
        return repr(getattr(value, "value", value))
    return None


TRIES = (
    {},
    {"output_dir": "."},
    {"use_cpu": True},
    {"use_cpu": True, "output_dir": "."},
    {"use_cpu": True, "output_dir": ".", "bf16": False, "report_to": "none"},
)
"""Arguments without which some configurations cannot be made on a machine without a GPU."""


def made(thing: type) -> dict:
    """The fields of an instance; nothing if none can be made."""
    for arguments in TRIES:
        try:
            instance = thing(**arguments)
        except BaseException:
            continue
        names = [field.name for field in dataclasses.fields(thing) if not field.name.startswith("_")]
        values = {name: getattr(instance, name, None) for name in names}
        return {"given": sorted(arguments), "values": {n: repr(getattr(v, "value", v)) for n, v in values.items()}}
    return {}


def described(thing: object) -> dict:
    if inspect.isclass(thing):
        fields = dataclasses.fields(thing) if dataclasses.is_dataclass(thing) else ()
        own = {field.name: default_of(field) for field in fields if not field.name.startswith("_")}
        return {"kind": "class", "fields": own, "made": made(thing) if fields else {}}
    if inspect.ismodule(thing):
        return {"kind": "module"}
    return {"kind": "function" if callable(thing) else "constant"}


def names_of(module: object) -> list[str]:
    """`__all__`, or the table of a lazy module, or what is there."""
    declared = getattr(module, "__all__", None) or dir(module)
    return sorted({name for name in declared if not name.startswith("_")})


def main(package: str, modules: list[str]) -> None:
    warnings.simplefilter("ignore")
    result: dict[str, dict] = {"": {"version": getattr(importlib.import_module(package), "__version__", "?")}}
    for name in modules:
        try:
            module = importlib.import_module(name)
            table = {}
            for member in names_of(module):
                try:
                    table[member] = described(getattr(module, member))
                except BaseException as error:
                    table[member] = {"error": f"{type(error).__name__}: {error}"[:200]}
            result[name] = table
        except BaseException as error:
            result[name] = {"": {"error": f"{type(error).__name__}: {error}"[:200]}}
    print("SURFACE " + json.dumps(result))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
