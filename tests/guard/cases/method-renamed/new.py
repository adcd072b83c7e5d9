__all__ = ["Trainer"]


class Trainer:
    def evaluate(self, rows, batch_size=8, prefix="eval"): ...
