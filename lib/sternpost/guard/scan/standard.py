"""Members of classes of the standard library. Only the modules that are imported here are asked."""

import abc
import argparse
import ast
import builtins
import collections
import collections.abc
import contextlib
import enum
import inspect
import io
import json
import logging
import string
import threading
import typing
from functools import cache

_MODULES = {
    module.__name__: module
    for module in (abc, argparse, ast, builtins, collections, contextlib, enum, io, json, logging, string, threading)
}
_MODULES |= {"collections.abc": collections.abc, "typing": typing, "typing_extensions": typing}
_STANDS_FOR: dict[str, type] = {"NamedTuple": collections.namedtuple("NamedTuple", ()), "TypedDict": dict}
"""What `typing` makes of bases that are no classes."""


@cache
def standard_members(path: str) -> frozenset[str] | None:
    """Everything that a class of the standard library gives to those that derive from it; None where it is not known.

    What its methods set on `self` is among the names that they use.
    """
    module, _, name = path.rpartition(".")
    found = getattr(_MODULES.get(module or "builtins"), name, None)
    class_ = found if isinstance(found, type) else _STANDS_FOR.get(name) if module.startswith("typing") else None
    if class_ is None:
        return None
    names: set[str] = set()
    for owner in (*inspect.getmro(class_), *inspect.getmro(type(class_))):
        for member, value in vars(owner).items():
            code = getattr(value, "__code__", None)
            names |= {member, *(code.co_names if code is not None else ())}
    return frozenset(names)
