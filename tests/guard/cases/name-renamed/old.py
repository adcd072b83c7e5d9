__all__ = ["RewardModel", "score"]


class RewardModel:
    def __init__(self, path, device="cpu"): ...

    def rank(self, rows, top_k=4): ...


def score(model, rows, batch_size=8): ...
