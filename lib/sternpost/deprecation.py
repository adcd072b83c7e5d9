"""What is to go and what has gone. One helper for each, and both are read by the guard.

    deprecated("SFTConfig.old", since="0.2.0", remove_in="0.4.0", use="SFTConfig.new")

stands where the old thing is used, behind a test that it was. `sternpost guard` records it in the snapshot, a check
fails once the package has reached `remove_in` and the call is still there, and the removal in that version needs no
exception.

A name that is gone leaves a tombstone in `TOMBSTONES`: who imports it is told since when, why, and what to use.
"""

import warnings
from collections.abc import Callable
from typing import Any


def deprecated(what: str, *, since: str, remove_in: str, use: str = "", stacklevel: int = 2) -> None:
    """Warn that `what` goes.

    `stacklevel` counts as for `warnings.warn` in the caller: 2 in a function that users call, 3 in a `__post_init__`,
    which a generated `__init__` calls.
    """
    instead = f" Use `{use}` instead." if use else ""
    message = f"`{what}` is deprecated since {since} and will be removed in {remove_in}.{instead}"
    warnings.warn(message, FutureWarning, stacklevel=stacklevel + 1)


TOMBSTONES: dict[str, dict[str, str]] = {}
"""Dotted path of a name that is gone -> `since` which version, the `last` one that had it, `why`, and what to `use`.

Literals only: the guard reads this table without running it. A name of a frozen snapshot that is neither there nor here
fails `sternpost guard check`.
"""


def missing(module: str, name: str) -> Exception:
    """The error for a name that a module does not have: of one that it had, an ImportError that says what became of it.

    `from module import name` and `module.name` both show it, which they would not for an AttributeError.
    """
    stone = TOMBSTONES.get(f"{module}.{name}")
    if stone is None:
        return AttributeError(f"module {module!r} has no attribute {name!r}")
    use = f" Use `{stone['use']}` instead." if stone.get("use") else ""
    return ImportError(
        f"`{module}.{name}` is gone since {stone['since']}: {stone['why']}{use} The last version that has it is "
        f"{stone['last']}: `pip install {module.partition('.')[0]}=={stone['last']}`.",
        name=module,
    )


def gone_from(module: str) -> Callable[[str], Any]:
    """A `__getattr__` for a module without one: `__getattr__ = gone_from(__name__)`."""

    def getattr_(name: str) -> Any:
        raise missing(module, name)

    return getattr_
