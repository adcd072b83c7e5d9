"""Write the pinned facts of base classes in other libraries: `python guard_corpus/upstream_foreign.py [OLDER]`.

Facts only (names, defaults, order of arguments), of the classes that training libraries inherit from. They are read
from the transformers that is installed here; with OLDER, a wheel or directory of an earlier transformers, whatever only
that one has is added, so that a class which drops its own copy of an option is not said to lose it.
"""

import sys
from pathlib import Path

import griffe

from sternpost.guard.bodies import Bodies
from sternpost.guard.classes import ClassReader
from sternpost.guard.facts import Fact, Snapshot, make_fact
from sternpost.guard.packages import locate
from sternpost.guard.resolve import Resolver
from sternpost.guard.settings import Settings
from sternpost.guard.snapshot import HEADER, render
from sternpost.guard.sources import Tree

CLASSES = (
    "training_args.TrainingArguments",
    "training_args_seq2seq.Seq2SeqTrainingArguments",
    "trainer.Trainer",
    "trainer_seq2seq.Seq2SeqTrainer",
    "trainer_callback.TrainerCallback",
    "trainer_callback.TrainerState",
    "data.data_collator.DataCollatorWithPadding",
    "data.data_collator.DataCollatorForSeq2Seq",
    "data.data_collator.DataCollatorForLanguageModeling",
)
KINDS = {"class", "base", "field", "method", "attribute"}
TARGET = Path(__file__).parents[1] / "lib" / "sternpost" / "guard" / "foreign" / "transformers.txt"


def read(spec: str) -> tuple[list[Fact], str]:
    settings = locate(spec)
    resolver = Resolver(Tree(settings))
    homes = {f"transformers.{path}": f"transformers.{path.rpartition('.')[2]}" for path in CLASSES}
    facts: list[Fact] = []
    for path, home in homes.items():
        class_ = resolver.find(path)
        if isinstance(class_, griffe.Class):
            facts += ClassReader(class_, home, frozenset(), homes, resolver, Bodies(resolver.tree), True).facts(
                "stable"
            )
    return [reduced(fact) for fact in facts if fact.kind in KINDS], version(settings)


def reduced(fact: Fact) -> Fact:
    """What a comparison needs to know of something that is inherited."""
    kept = ("default", "kind", "init", "settled") if fact.kind == "field" else ("tier", "scope", "binding")
    return make_fact(fact.kind, fact.owner, fact.name, None, **{f"{k}": fact.get(k) for k in kept})


def version(settings: Settings) -> str:
    lines = settings.metadata.read_text().splitlines() if settings.metadata else []
    return next((line.split()[1] for line in lines if line.startswith("Version: ")), "?")


def main(older: list[str]) -> None:
    facts, newest = read("transformers")
    note = f"# transformers {newest}"
    for spec in older:
        more, number = read(spec)
        known = {fact.key for fact in facts}
        facts += [fact for fact in more if fact.key not in known]
        note += f", and what only {number} had"
    lines = render(Snapshot.of(facts).facts).splitlines()
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text("\n".join([HEADER, note, *lines[1:]]) + "\n")
    print(f"{len(lines) - 1} facts of {note[2:]} in {TARGET.name}")


if __name__ == "__main__":
    main(sys.argv[1:])
