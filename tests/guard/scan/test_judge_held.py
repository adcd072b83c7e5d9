"""Members of what an attribute of a base holds, between two versions."""

from pathlib import Path

import pytest

from .projects import hits, rules

OLD = """
class Engine:
    def __init__(self):
        self.slots = 4

    def sync(self, model, full=False):
        return model

    def stop(self):
        pass

class Server(Engine):
    engine: "Engine | None" = None

def make() -> Engine:
    return Engine()

class Trainer:
    declared: Engine

    def __init__(self, given: Engine = None, other=None):
        self.annotated: Engine = other
        self.built = Engine()
        self.either = given or other
        self.made = make()
        self.server = Server()
        self.unknown = other

    @property
    def shown(self) -> "Engine | None":
        return None
"""
HELD = ("declared", "annotated", "built", "either", "made", "shown", "server", "server.engine")
NEW = OLD.replace("def sync(self, model, full=False)", "def sync(self, model)").replace("def stop", "def shut_down")


def subclass(*lines: str) -> str:
    body = "\n".join(f"        {line}" for line in lines)
    return f"from lib import Trainer\nclass T(Trainer):\n    def run(self):\n{body}\n"


@pytest.mark.parametrize("name", HELD)
def test_every_way_in_which_the_package_says_what_an_attribute_holds(name: str, tmp_path: Path):
    """Annotations, constructors, arguments, functions and properties with a result, attributes of attributes."""
    code = subclass(f"self.{name}.sync(1, full=True)", f"engine = self.{name}", "engine.stop()")
    found = hits(tmp_path, code, OLD, NEW)
    assert [(hit.rule, hit.at) for hit in found] == [("argument-gone", 4), ("member-gone", 6)]
    assert "full" in found[0].says
    assert "`lib." in found[1].says
    assert f"which `{name}` holds, has no `stop` any more" in found[1].says


def test_instances(tmp_path: Path):
    """The same from outside."""
    code = "from lib import Trainer\ntrainer = Trainer()\ntrainer.built.stop()\ngetattr(trainer.built, 'stop')\n"
    assert [(hit.rule, hit.at) for hit in hits(tmp_path, code, OLD, NEW)] == [("member-gone", 3), ("member-gone", 4)]


QUIET = {
    "nothing is known of it": subclass("self.unknown.stop()"),
    "it has what is used": subclass("self.built.sync(1)", "self.built.slots"),
    "the project sets it": subclass("self.built = object()", "self.built.stop()"),
    "the project looks first": subclass("if hasattr(self.built, 'nothing'):", "    self.built.nothing()"),
    "what comes first is known": "from lib import Trainer\nclass Own:\n    def stop(self): pass\n"
    + subclass("x = self.built or Own()", "x.stop()"),
}


@pytest.mark.parametrize("why", QUIET)
def test_nothing_is_said_where(why: str, tmp_path: Path):
    """A hit is for certain, or it is none."""
    assert rules(hits(tmp_path, QUIET[why], OLD, NEW)) == []


def test_a_class_that_takes_the_place_of_another(tmp_path: Path):
    """What the attribute holds now decides; where a base outside the package may have the member, nothing is said."""
    other = OLD.replace("self.built = Engine()", "self.built = Other()")
    code = subclass("self.built.stop()")
    known, unknown = ("\nclass Other:\n    pass\n", "\nfrom far import Base\nclass Other(Base):\n    pass\n")
    found = hits(tmp_path / "known", code, OLD, other + known)
    assert [hit.says for hit in found] == ["`lib.Other`, which `built` holds, has no `stop` any more."]
    assert hits(tmp_path / "unknown", code, OLD, other + unknown) == []
