__all__ = ["Trainer"]


class Trainer:
    tag_names = ["sft"]
    loss_is_scaled = True

    def __init__(self, model):
        self.model = model
