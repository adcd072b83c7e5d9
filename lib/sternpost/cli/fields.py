"""Options read from the source of the config classes, without importing them: names, types, defaults, documentation.

Importing a config class takes seconds, because it inherits from `transformers.TrainingArguments`; parsing the source of
both takes milliseconds. What the source says is all that help and checks need.
"""

import ast
import functools
import importlib.util
import itertools
import re
from pathlib import Path
from typing import Any, NamedTuple

PACKAGE = Path(__file__).parent.parent
GROUP = re.compile(r"^    # -{3,} (.+?)(?: -+)?$")


class Option(NamedTuple):
    """One field of a config class, as its source says it."""

    name: str
    annotation: str
    default: Any
    doc: str
    group: str
    owner: str
    file: Path
    choices: tuple[str, ...] = ()
    bare: bool = False
    """Whether the flag may stand without a value, which means true."""


class Source(NamedTuple):
    """A parsed file."""

    file: Path
    lines: list[str]
    tree: ast.Module


class Unresolved(NamedTuple):
    """A default that is an expression and no literal."""

    text: str


REQUIRED = Unresolved("required")


@functools.cache
def parse(file: Path) -> Source:
    text = file.read_text("utf-8")
    return Source(file, text.splitlines(), ast.parse(text))


def read_options(file: Path, class_name: str) -> list[Option]:
    """The fields of a dataclass in the order of the source, without inherited ones.

    Raises:
        ImportError: the file does not define the class.
    """
    source = parse(file)
    for node in source.tree.body:
        if isinstance(node, ast.ClassDef) and node.name == class_name:
            body = [*node.body, ast.Pass()]
            return [
                read_field(source, node, statement, following)
                for statement, following in itertools.pairwise(body)
                if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name)
            ]
    raise ImportError(f"{file} does not define {class_name}: this version of its package is not supported.")


def inherited_options() -> list[Option]:
    """The fields of `transformers.TrainingArguments`."""
    return read_options(package_file("transformers", "training_args.py"), "TrainingArguments")


def package_file(package: str, path: str) -> Path:
    """A file of an installed package, found without importing it.

    Raises:
        ImportError: the package is not installed.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ImportError(f"{package} is not installed: `pip install {package}`.")
    return Path(spec.submodule_search_locations[0]) / path


def read_field(source: Source, node: ast.ClassDef, statement: ast.AnnAssign, following: ast.stmt) -> Option:
    keywords = {}
    if isinstance(statement.value, ast.Call):
        keywords = {keyword.arg: keyword.value for keyword in statement.value.keywords}
    metadata = literal(keywords["metadata"], {}) if "metadata" in keywords else {}
    doc = metadata.get("help", "").replace("%%", "%")
    if isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
        doc = str(following.value.value)
    return Option(
        name=statement.target.id,  # type: ignore[union-attr]  # read_options takes only names
        annotation=ast.unparse(statement.annotation),
        default=read_default(node, statement.value, keywords),
        doc=" ".join(doc.split()),
        group=group_above(source, node, statement),
        owner=node.name,
        file=source.file,
        choices=tuple(metadata.get("choices", ())),
        bare="nargs" in metadata,
    )


def read_default(node: ast.ClassDef, value: ast.expr | None, keywords: dict[str | None, ast.expr]) -> Any:
    if value is None:
        return REQUIRED
    if isinstance(value, ast.Call):
        if "default_factory" in keywords:
            return made_default(keywords["default_factory"])
        value = keywords.get("default", value)
    if isinstance(value, ast.Name):
        # The value that holds is the last one assigned: earlier ones are for versions below those we support.
        assigned = [
            inner.value
            for inner in ast.walk(node)
            if isinstance(inner, ast.Assign) and ast.unparse(inner.targets[0]) == value.id
        ]
        value = assigned[-1] if assigned else value
    return literal(value, Unresolved(ast.unparse(value)))


def made_default(factory: ast.expr) -> tuple[Any, ...]:
    """What a factory of a list or a dict makes, as something hashable: the items that a lambda lists, or nothing."""
    made = literal(factory.body, ()) if isinstance(factory, ast.Lambda) else ()
    return tuple(made) if isinstance(made, list) else ()


def group_above(source: Source, node: ast.ClassDef, statement: ast.stmt) -> str:
    """The nearest `# ---- Title` above a field, within its class."""
    for number in range(statement.lineno - 1, node.lineno, -1):
        match = GROUP.match(source.lines[number - 1])
        if match:
            return match[1]
    return ""


def literal(node: ast.expr, otherwise: Any) -> Any:
    try:
        return ast.literal_eval(node)
    except ValueError:
        return otherwise


@functools.cache
def accepted_strings(file: Path, name: str) -> tuple[str, ...]:
    """The values of a `Literal` alias or of an enum of strings, defined in the file or imported into it relatively."""
    for node in parse(file).tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            return literal_values(node.value)
        if isinstance(node, ast.ClassDef) and node.name == name:
            values = [literal(inner.value, None) for inner in node.body if isinstance(inner, ast.Assign)]
            return tuple(value for value in values if isinstance(value, str))
        if isinstance(node, ast.ImportFrom) and node.level and name in [alias.name for alias in node.names]:
            base = file.parents[node.level - 1].joinpath(*(node.module or "").split("."))
            module = base.with_suffix(".py")
            return accepted_strings(module if module.is_file() else base / "__init__.py", name)
    return ()


def literal_values(node: ast.expr) -> tuple[str, ...]:
    """`("a", "b")` for the expression `Literal["a", "b"]`."""
    if not (isinstance(node, ast.Subscript) and ast.unparse(node.value) in ("Literal", "typing.Literal")):
        return ()
    values = literal(node.slice, ())
    return values if isinstance(values, tuple) else (values,)
