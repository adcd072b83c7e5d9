"""Generated APIs: a model of a module, its source, and mutations of it that break one promise each."""

from dataclasses import dataclass, replace

from hypothesis import strategies as st

Case = tuple["Api", "Api", str]
"""Before, after, and the rule that has to fire: the only one."""


@dataclass(frozen=True)
class Parameter:
    """An argument or a field; `default` is source text, None when it must be given."""

    name: str
    default: str | None = None
    keyword_only: bool = False

    def source(self) -> str:
        return self.name if self.default is None else f"{self.name}={self.default}"

    def field(self) -> str:
        if self.default is None:
            return f"{self.name}: object"
        if self.default.startswith(("[", "{")):
            return f"{self.name}: object = field(default_factory=lambda: {self.default})"
        return f"{self.name}: object = {self.default}"


@dataclass(frozen=True)
class Item:
    """A public name: a function, a class with a constructor, a class with one method, or a dataclass."""

    kind: str
    name: str
    parameters: tuple[Parameter, ...]

    @property
    def positional(self) -> tuple[Parameter, ...]:
        return tuple(p for p in self.parameters if not p.keyword_only)

    def source(self) -> str:
        if self.kind == "dataclass":
            body = "".join(f"    {p.field()}\n" for p in self.parameters) or "    ...\n"
            return f"@dataclass(kw_only=True)\nclass {self.name}:\n{body}"
        keywords = [p.source() for p in self.parameters if p.keyword_only]
        arguments = [p.source() for p in self.positional] + (["*", *keywords] if keywords else [])
        if self.kind == "function":
            return f"def {self.name}({', '.join(arguments)}): ...\n"
        method = "__init__" if self.kind == "class" else "run"
        return f"class {self.name}:\n    def {method}({', '.join(['self', *arguments])}): ...\n"


@dataclass(frozen=True)
class Api:
    """A module: its items in the order of the source, which means nothing."""

    items: tuple[Item, ...]

    def source(self) -> str:
        names = ", ".join(repr(item.name) for item in self.items)
        head = f"from dataclasses import dataclass, field\n\n__all__ = [{names}]\n\n"
        return head + "\n".join(item.source() for item in self.items)

    def with_item(self, old: Item, new: Item | None) -> "Api":
        return Api(tuple(new if item is old else item for item in self.items if item is not old or new is not None))


WORDS = st.text("abcdefghijklmnopqrstuvwxyz", min_size=4, max_size=9).map(lambda word: f"{word}x")  # never a keyword
DEFAULTS = st.one_of(
    st.none().map(repr),
    st.booleans().map(repr),
    st.integers(-5, 2000).map(repr),
    st.floats(-2, 2, allow_nan=False).map(repr),
    st.text(max_size=6).map(repr),
    st.lists(st.integers(0, 3), max_size=2).map(repr),
)


@st.composite
def items(draw: st.DrawFn, name: str) -> Item:
    """An item with arguments of every kind, in an order that Python allows."""
    kind = draw(st.sampled_from(["function", "class", "method", "dataclass"]))
    names = draw(st.lists(WORDS, unique=True, max_size=5))
    defaults = [draw(st.none() | DEFAULTS) for _ in names]
    keyword = [kind == "dataclass" or draw(st.booleans()) for _ in names]
    found = [Parameter(n, d, k) for n, d, k in zip(names, defaults, keyword, strict=True)]
    found.sort(key=lambda p: (p.keyword_only, p.default is not None and not p.keyword_only))
    return Item(kind, name, tuple(found))


@st.composite
def apis(draw: st.DrawFn, min_size: int = 1) -> Api:
    names = draw(st.lists(WORDS.map(str.title), unique=True, min_size=min_size, max_size=5))
    return Api(tuple(draw(items(name)) for name in names))


@st.composite
def mutations(draw: st.DrawFn) -> Case:
    """An API, the same with one thing changed, and the rule that this breaks."""
    api = draw(apis())
    item = draw(st.sampled_from(api.items))
    options = [_remove_name, _rename_name]
    if item.parameters:
        options += [_remove_parameter, _rename_parameter, _change_default, _require]
    options += [_add_required, _add_optional]
    if item.kind != "dataclass" and len(item.positional) > 1:
        options.append(_swap)
    if item.positional and item.positional[-1].default is not None:
        options.append(_keyword_only)
    return draw(st.sampled_from(options))(draw, api, item)


def _what(item: Item) -> str:
    return "field" if item.kind == "dataclass" else "argument"


def _with(api: Api, item: Item, *parameters: Parameter) -> Api:
    return api.with_item(item, replace(item, parameters=parameters))


def _remove_name(draw: st.DrawFn, api: Api, item: Item) -> Case:
    return api, api.with_item(item, None), "name-removed"


def _rename_name(draw: st.DrawFn, api: Api, item: Item) -> Case:
    return api, api.with_item(item, replace(item, name=f"{item.name}Renamed")), "name-renamed"


def _remove_parameter(draw: st.DrawFn, api: Api, item: Item) -> Case:
    lost = draw(st.sampled_from(item.parameters))
    return api, _with(api, item, *(p for p in item.parameters if p is not lost)), f"{_what(item)}-removed"


def _rename_parameter(draw: st.DrawFn, api: Api, item: Item) -> Case:
    old = draw(st.sampled_from(item.parameters))
    new = replace(old, name=f"{old.name}_renamed")
    return api, _with(api, item, *(new if p is old else p for p in item.parameters)), f"{_what(item)}-renamed"


def _change_default(draw: st.DrawFn, api: Api, item: Item) -> Case:
    """A required argument gets a default first, so that there is one to change."""
    old = draw(st.sampled_from(item.parameters))
    if old.default is None:
        return draw(st.just((api, api, "")))
    value = eval(old.default)  # the text of a literal drawn above
    new = draw(DEFAULTS.filter(lambda text: _differs(eval(text), value)))
    parameters = [replace(p, default=new) if p is old else p for p in item.parameters]
    return api, _with(api, item, *parameters), f"{_what(item)}-default-changed"


def _differs(one: object, other: object) -> bool:
    """Not the same to a user: `1` and `True` differ, `1` and `1.0` do not."""
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in (one, other))
    return one != other if numbers else repr(one) != repr(other)


def _require(draw: st.DrawFn, api: Api, item: Item) -> Case:
    """The first argument that has a default loses it: those in front have none, so that Python allows it."""
    old = next((p for p in item.parameters if p.default is not None), None)
    if old is None:
        return api, api, ""
    parameters = [replace(p, default=None) if p is old else p for p in item.parameters]
    return api, _with(api, item, *parameters), f"{_what(item)}-now-required"


def _add_required(draw: st.DrawFn, api: Api, item: Item) -> Case:
    new = Parameter("brand_new", None, draw(st.booleans()) or item.kind == "dataclass")
    parameters = (*item.parameters, new) if new.keyword_only else (new, *item.parameters)
    return api, _with(api, item, *parameters), f"{_what(item)}-added-required"


def _add_optional(draw: st.DrawFn, api: Api, item: Item) -> Case:
    return api, _with(api, item, *item.parameters, Parameter("brand_new", "None", True)), "added"


def _swap(draw: st.DrawFn, api: Api, item: Item) -> Case:
    """Two neighbours change places; with the default of the other, where Python asks for it."""
    at = draw(st.integers(0, len(item.positional) - 2))
    first, second = item.positional[at : at + 2]
    if (first.default is None) != (second.default is None):
        return api, api, ""
    parameters = list(item.parameters)
    parameters[at : at + 2] = [second, first]
    return api, _with(api, item, *parameters), "argument-moved"


def _keyword_only(draw: st.DrawFn, api: Api, item: Item) -> Case:
    last = item.positional[-1]
    parameters = [replace(p, keyword_only=True) if p is last else p for p in item.parameters]
    return api, _with(api, item, *parameters), "argument-kind-changed"
