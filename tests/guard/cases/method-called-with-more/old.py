"""`compute_loss` is called by a base elsewhere as well; `score` gets by splat what nobody can tell."""

from transformers import Trainer

__all__ = ["Loop", "MyTrainer"]


class Loop:
    def run(self, rows, **options):
        self.step(rows)
        self.score(rows, **options)
        return self.count(rows)

    def step(self, rows, mask=None): ...

    def score(self, rows, scale=1): ...

    def count(self, rows): ...


class MyTrainer(Trainer):
    def go(self, model):
        self.compute_loss(model)

    def compute_loss(self, model, inputs=None): ...
