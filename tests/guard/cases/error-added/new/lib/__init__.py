class Trainer:
    def __init__(self, model, beta=0.1):
        if model is None:
            raise TypeError("`model` must be given.")
        if beta <= 0:
            raise ValueError(f"`beta` must be greater than 0, got {beta}.")
