"""`Trainer` gets an argument in the middle, `pad` has two swapped, `cut` gets one at the end."""

__all__ = ["Trainer", "pad", "cut"]


class Trainer:
    def __init__(self, model, args=None, peft_config=None, formatting_func=None): ...


def pad(tensors, value, side): ...


def cut(rows, length): ...
