"""Accepted values of options: declared once as a `Literal`, checked here, shown by the CLI, frozen by the guard."""

import dataclasses
import difflib
from typing import Any, Literal, get_args, get_origin


def check_choices(config: Any) -> None:
    """Raise if a field of a dataclass instance that is annotated with a `Literal` holds another value.

    Raises:
        ValueError: names the option, the value, the nearest accepted value and all of them.
    """
    for field in dataclasses.fields(config):
        if get_origin(field.type) is not Literal:
            continue
        value, accepted = getattr(config, field.name), get_args(field.type)
        if value not in accepted:
            near = difflib.get_close_matches(str(value), accepted, n=1)
            hint = f' Did you mean "{near[0]}"?' if near else ""
            raise ValueError(f"`{field.name}={value!r}` is not one of {', '.join(map(repr, accepted))}.{hint}")
