__all__ = ["Trainer"]


class Trainer:
    def evaluate_rows(self, rows, batch_size=8, prefix="eval"): ...
