"""What is known of one body."""

import ast
import re
import zlib
from dataclasses import dataclass, field

from .words import announced

MIN_WORDS = 6
"""Bodies with fewer words are alike by chance."""

_PRIME = 4_294_967_291
_FACTORS = tuple(pow(1_000_003, exponent, _PRIME) for exponent in range(1, 9))
_DEPRECATED = re.compile(r"deprecat|will be removed|is removed in|removed in (version|v?\d)", re.I)


@dataclass(frozen=True)
class Warned:
    """What is told when the code runs, by a warning or in the log."""

    message: str
    via: str
    """The class of the warning, or `log`."""
    guard: str
    """The test under which it is told, as source."""
    line: int
    stated: dict[str, str] = field(default_factory=dict)
    """`since`, `until` and `use`, where a helper is told them by name."""

    @property
    def deprecates(self) -> bool:
        return bool(self.stated) or _DEPRECATED.search(self.message) is not None

    @property
    def until(self) -> str | None:
        """The version that removes."""
        return self.stated.get("until") or announced(self.message)


@dataclass
class Body:
    """What one function does, as far as it can be read."""

    returns: list[ast.expr | None] = field(default_factory=list)
    yields: bool = False
    forwards: list[ast.expr] = field(default_factory=list)
    """What is called with all arguments as they came: `f(*args, **kwargs)`."""
    taken: dict[str, int] = field(default_factory=dict)
    """What is read from its own `**kwargs` by name -> line."""
    taken_inside: dict[str, int] = field(default_factory=dict)
    """The same of the functions in it: what a decorator takes out before it calls what it decorates."""
    metrics: dict[str, int] = field(default_factory=dict)
    """Key -> line; `*` stands for what an f-string puts in."""
    keys: dict[str, int] = field(default_factory=dict)
    accepted: dict[str, dict[str, int]] = field(default_factory=dict)
    """Name of a variable or attribute -> the strings that it is compared with or looked up among -> line."""
    warned: list[Warned] = field(default_factory=list)
    tables: dict[str, dict[str, int]] = field(default_factory=dict)
    """Name of a variable or attribute -> names of what it is looked up in -> line."""
    raised: list[Warned] = field(default_factory=list)
    """Errors: their text, class, test and line."""
    dropped: dict[str, int] = field(default_factory=dict)
    """What rows of a data set are dropped by, in the words of the code."""
    words: set[str] = field(default_factory=set)
    """Names of attributes, keywords and functions: whatever variables are called, they stay."""
    calls: list[ast.Call] = field(default_factory=list)
    """Calls of methods of `self`."""
    parsers: dict[str, int] = field(default_factory=dict)
    """Commands that are added to a command line."""
    flags: dict[str, int] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str | None:
        """Bodies that share most of their words share most of these bytes; None of one that has few words."""
        if len(self.words) < MIN_WORDS:
            return None
        numbers = [zlib.crc32(word.encode("utf-8", "replace")) for word in self.words]
        return bytes(min(n * factor % _PRIME for n in numbers) & 0xFF for factor in _FACTORS).hex()

    @property
    def gives(self) -> str | None:
        """How many values every return hands out, if all of them are written out and agree."""
        values = [value for value in self.returns if value is not None]
        if self.yields or not values or not all(isinstance(value, ast.Tuple) for value in values):
            return None
        sizes = {len(value.elts) for value in values if isinstance(value, ast.Tuple)}
        starred = any(isinstance(item, ast.Starred) for value in values for item in getattr(value, "elts", ()))
        return str(sizes.pop()) if len(sizes) == 1 and not starred else None
