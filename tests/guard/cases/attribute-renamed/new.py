__all__ = ["Trainer"]


class Trainer:
    model_tag_names = ["sft"]
