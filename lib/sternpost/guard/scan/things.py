"""What an expression of the package can give in one version. None stands for what is not known."""

from dataclasses import dataclass

from .code import Class, Function


@dataclass(frozen=True)
class Instance:
    """An instance of a class of the package, or of a class of the project that derives from it."""

    class_: Class
    project: str = ""


@dataclass(frozen=True)
class Kind:
    """A class itself."""

    class_: Class


@dataclass(frozen=True)
class Bound:
    """A function or method, not called yet."""

    function: Function
    of: Instance | None = None


@dataclass(frozen=True)
class Later:
    """What comes out when a step is taken: a coroutine that is awaited, a container that is looped over."""

    step: str
    things: "tuple[Thing, ...]"


Thing = Instance | Kind | Bound | Later | None
