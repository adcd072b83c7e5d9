__all__ = ["Trainer"]


class Trainer:
    loss_is_scaled = True

    def __init__(self, model):
        self.policy = model
