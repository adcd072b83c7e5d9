__all__ = ["Trainer", "pad", "cut"]


class Trainer:
    def __init__(self, model, args=None, quantization_config=None, peft_config=None, formatting_func=None): ...


def pad(tensors, side, value): ...


def cut(rows, length, side="left"): ...
