"""Strings that name the package's things: dotted paths, keys, and pieces of its source."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from .contacts import Guard, Place
from .meanings import Text
from .syntax import last_name

if TYPE_CHECKING:
    from .walker import Walker

WORD = re.compile(r"[A-Za-z_][\w]*(?:/[\w@.]+)*")
"""What a key, metric or member is spelled like."""
MIN_ANCHOR = 10
"""Shorter pieces of source are found anywhere."""
_TEXT_METHODS = {"replace", "find", "index", "count", "split", "partition", "rpartition", "startswith", "rfind"}
_PATTERNS = {"sub", "subn", "search", "match", "findall", "finditer", "fullmatch", "compile", "split"}
_CODE_MARK = re.compile(r"[().=\[\]:]|^\s*(?:def|if|else|for|return|import|from|class|with|elif)\b|_")
_ESCAPE = re.compile(r"\\([^\w\s])")
_META = re.compile(r"\\[A-Za-z]|\[[^\]]*\]|\(\?[^)]*\)?|[.^$*+?{}()|\[\]]|\{\d*,?\d*\}")


class TextReader:
    """Collects strings of one module: `words` by what they say, contacts for paths and anchors."""

    def __init__(self, walker: Walker) -> None:
        self.walker = walker
        package = re.escape(walker.package)
        self._path = re.compile(rf"(?<![\w./-]){package}(?:\.[A-Za-z_]\w*)+")
        self.words: dict[str, list[tuple[Place, Guard]]] = {}

    def string(self, node: ast.Constant, text: str) -> None:
        """A whole string is a path or a word; paths inside longer texts are weaker."""
        if len(text) > 20_000:
            return
        if self.walker.package in text:
            whole = self._path.fullmatch(text)
            for match in self._path.finditer(text):
                detail = "whole" if whole else "text"
                if not text.endswith((".py", ".md", ".txt")):
                    self.walker.add("string-path", match[0], node, detail=detail)
        if 3 <= len(text) <= 80 and WORD.fullmatch(text):
            place = Place(self.walker.module.file, node.lineno, node.col_offset)
            self.words.setdefault(text, []).append((place, self.walker.guard))

    def joined(self, node: ast.JoinedStr) -> None:
        """`f"package.trainer.{name}_trainer"`: which modules it can name is compared."""
        parts = [p.value if isinstance(p, ast.Constant) and isinstance(p.value, str) else "*" for p in node.values]
        text = "".join(parts)
        match = re.search(rf"(?<![\w.]){re.escape(self.walker.package)}(?:\.[\w*]+)+", text)
        if match and "*" in match[0]:
            self.walker.add("string-path", match[0], node, detail="pattern")

    # ---- Anchors

    def call(self, node: ast.Call) -> None:
        """`source.replace(old, new)`, `re.sub(pattern, new, source)` and the like."""
        name = last_name(node.func)
        if not isinstance(node.func, ast.Attribute) or not node.args:
            return
        if name in _PATTERNS and last_name(node.func.value) in ("re", "regex"):
            pattern = self.walker.scopes.evaluate(node.args[0])
            if isinstance(pattern, Text):
                self._anchor(literals(pattern.value), node.args[0], pattern.value)
        elif name in _TEXT_METHODS:
            text = self.walker.scopes.evaluate(node.args[0])
            if isinstance(text, Text):
                self._anchor((text.value,), node.args[0], text.value)

    def compare(self, node: ast.Compare) -> None:
        """`"text" in source`."""
        if any(isinstance(op, ast.In | ast.NotIn) for op in node.ops):
            text = self.walker.scopes.evaluate(node.left)
            if isinstance(text, Text):
                self._anchor((text.value,), node.left, text.value)

    def _anchor(self, pieces: tuple[str, ...], node: ast.AST, text: str) -> None:
        kept = tuple(piece for piece in pieces if len(piece.strip()) >= MIN_ANCHOR and len(piece) < 4000)
        if kept and any(_CODE_MARK.search(piece) for piece in kept):
            self.walker.add("anchor", "", node, _first_line(text), words=kept)


def literals(pattern: str) -> tuple[str, ...]:
    """The pieces of plain text that a regular expression needs. It is never run: it is not ours."""
    if "|" in pattern.replace("\\|", ""):
        return ()
    marked = _ESCAPE.sub(lambda match: f"\0{ord(match[1]):04x}\0", pattern)
    optional = re.sub(r"(?:\0[0-9a-f]{4}\0|.)[?*]", "\1", marked)
    pieces = re.split("\1", _META.sub("\1", optional))
    return tuple(re.sub("\0([0-9a-f]{4})\0", lambda match: chr(int(match[1], 16)), piece) for piece in pieces)


def _first_line(text: str) -> str:
    line = text.strip().partition("\n")[0]
    return line if len(line) <= 80 else f"{line[:77]}..."
