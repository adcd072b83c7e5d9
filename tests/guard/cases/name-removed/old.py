"""A lost name, with an alias of it; `kept` stays, under another spelling of its body."""

__all__ = ["Trainer", "OldTrainer", "kept"]


class Trainer:
    def train(self, steps=10): ...


OldTrainer = Trainer


def kept(value, other=(1, 2)): ...
