__all__ = ["PreferenceModel", "score_rows"]


class PreferenceModel:
    def __init__(self, path, device="cpu"): ...

    def rank(self, rows, top_k=4): ...


def score_rows(model, rows, batch_size=8): ...
