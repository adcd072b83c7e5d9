__all__ = ["Trainer"]


class Trainer:
    loss_is_scaled = True
