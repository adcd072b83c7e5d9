"""Accepted values of options: declared once as a `Literal`, checked here, shown by the CLI, frozen by the guard."""

import dataclasses
import difflib
from typing import Any, Literal, get_args, get_origin


def check_choices(config: Any) -> None:
    """Raise if a field of a dataclass instance, annotated with a `Literal` or a list of one, holds another value.

    Raises:
        ValueError: names the option, the value, the nearest accepted value and all of them.
    """
    for field in dataclasses.fields(config):
        several = get_origin(field.type) is list
        choices = get_args(field.type)[0] if several else field.type
        if get_origin(choices) is not Literal:
            continue
        value, accepted = getattr(config, field.name), get_args(choices)
        for each in value if several else [value]:
            if each not in accepted:
                near = difflib.get_close_matches(str(each), accepted, n=1)
                hint = f' Did you mean "{near[0]}"?' if near else ""
                raise ValueError(f"`{field.name}={value!r}` is not one of {', '.join(map(repr, accepted))}.{hint}")
