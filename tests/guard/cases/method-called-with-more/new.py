from transformers import Trainer

__all__ = ["Loop", "MyTrainer"]


class Loop:
    def run(self, rows, **options):
        for row in rows:
            self.step(row, mask=options)
        self.score(rows, scale=2)
        return self.count(rows, [])

    def step(self, rows, mask=None): ...

    def score(self, rows, scale=1): ...

    def count(self, rows, seen=None): ...


class MyTrainer(Trainer):
    def go(self, model):
        self.compute_loss(model, {})

    def compute_loss(self, model, inputs=None): ...
