__all__ = ["Trainer"]


class Trainer:
    model_tags = ["sft"]
