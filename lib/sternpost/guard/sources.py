"""Reading a package: files into griffe modules, on demand, with nothing imported and no file trusted."""

import ast
import contextlib
import io
import logging
import os
import tokenize
from pathlib import Path

import griffe

from .facts import Origin, Problem
from .settings import Settings

MAX_BYTES = 5_000_000
"""Larger files are not read: no hand-written module comes near, and parsing takes about 100 bytes of memory a byte."""

logging.getLogger("griffe").setLevel(logging.CRITICAL)  # what griffe cannot read is reported here, as a `Problem`

_EXTENSIONS = griffe.Extensions()  # none: dataclasses are read by `classes`, with their defaults resolved


class Tree:
    """The modules of one package, each parsed when first asked for. Files that cannot be read leave a `Problem`."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.name = settings.name
        self.problems: list[Problem] = []
        self.unreadable: set[str] = set()
        self.files = dict(_find_files(settings.package, settings.name))
        self._modules: dict[str, griffe.Module | None] = {}
        self._syntax: dict[str, ast.Module | None] = {}

    def module(self, path: str) -> griffe.Module | None:
        """The module at a dotted path; None if there is no such file or it cannot be read."""
        if path not in self._modules:
            self._modules[path] = None  # a cycle of parents ends here
            self._modules[path] = self._visit(path) if path in self.files else None
            if path in self.files and self._modules[path] is None:
                self.unreadable.add(path)
        return self._modules[path]

    def syntax(self, path: str) -> ast.Module | None:
        """The syntax tree of a module with its bodies, which griffe does not keep; None if it cannot be read."""
        if path not in self._syntax:
            self._syntax[path] = None
            if self.module(path) is not None:  # a file that cannot be read has been reported
                with contextlib.suppress(OSError, ValueError, SyntaxError, RecursionError, MemoryError):
                    self._syntax[path] = ast.parse(_importable(_read(self.files[path])))
        return self._syntax[path]

    def has(self, path: str) -> bool:
        return path in self.files

    def is_package(self, path: str) -> bool:
        return path in self.files and self.files[path].name == "__init__.py"

    def origin(self, thing: griffe.Object | griffe.Alias) -> Origin:
        """Where an object is defined, or an alias written."""
        module = thing.parent
        while module is not None and not isinstance(module, griffe.Module):
            module = module.parent
        if isinstance(thing, griffe.Module):
            module = thing
        file = self.files.get(module.path) if module is not None else None
        return Origin(
            self.settings.shown(file) if file else "?",
            thing.alias_lineno if isinstance(thing, griffe.Alias) else thing.lineno,
        )

    def _visit(self, path: str) -> griffe.Module | None:
        parent_path = path.rpartition(".")[0]
        parent = self.module(parent_path) if parent_path else None
        if parent is None and parent_path:
            parent = _empty(parent_path, self.files.get(parent_path, self.settings.package / "__init__.py"))
        file = self.files[path]
        try:
            code = _importable(_read(file))
            return griffe.visit(path.rpartition(".")[2], file, code, extensions=_EXTENSIONS, parent=parent)
        except SyntaxError as error:
            self._complain(file, error.lineno, f"cannot be parsed: {error.msg}")
        except (RecursionError, MemoryError):
            self._complain(file, None, "is nested too deeply to be parsed")
        except (OSError, ValueError) as error:
            self._complain(file, None, f"cannot be read: {error}")
        except Exception as error:  # griffe is handed untrusted text: whatever it trips over costs one file
            self._complain(file, None, f"is not understood by griffe: {type(error).__name__}: {error}")
        return None

    def _complain(self, file: Path, line: int | None, message: str) -> None:
        self.problems.append(Problem(Origin(self.settings.shown(file), line), message))


def _empty(path: str, file: Path) -> griffe.Module:
    """Stands for a package whose `__init__.py` cannot be read, so that its modules can."""
    above, _, name = path.rpartition(".")
    return griffe.Module(
        name, filepath=file, parent=_empty(above, file.parent.parent / "__init__.py") if above else None
    )


def _importable(code: str) -> str:
    """The code without what stands under `if __name__ == "__main__":`; every line keeps its number."""
    if "__main__" not in code:
        return code
    lines = code.split("\n")
    for node in ast.parse(code).body:
        if not isinstance(node, ast.If) or ast.unparse(node.test).replace("'", '"') != '__name__ == "__main__"':
            continue
        first, last = node.body[0], node.body[-1]
        start = min([first.lineno, *(decorator.lineno for decorator in getattr(first, "decorator_list", []))])
        if start > node.lineno:
            blank = [""] * ((last.end_lineno or last.lineno) - start)
            lines[start - 1 : last.end_lineno] = [f"{' ' * first.col_offset}pass", *blank]
    return "\n".join(lines)


def _read(file: Path) -> str:
    size = file.stat().st_size
    if size > MAX_BYTES:
        raise ValueError(f"{size} bytes are more than the {MAX_BYTES} that are read")
    data = file.read_bytes()
    encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
    return data.decode(encoding)


def _find_files(package: Path, name: str) -> list[tuple[str, Path]]:
    """Dotted path and file of every module, sorted; links are not followed."""
    if package.is_file():
        return [(name, package)]
    found = []
    for folder, subfolders, names in os.walk(package):
        subfolders[:] = sorted(sub for sub in subfolders if sub.isidentifier() and sub != "__pycache__")
        parts = Path(folder).relative_to(package).parts
        for filename in sorted(names):
            stem, dot, suffix = filename.rpartition(".")
            file = Path(folder, filename)
            if suffix != "py" or not dot or not stem.isidentifier() or file.is_symlink() or not file.is_file():
                continue
            found.append((".".join([name, *parts] if stem == "__init__" else [name, *parts, stem]), file))
    return sorted(found)
