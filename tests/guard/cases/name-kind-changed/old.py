__all__ = ["Padding"]


class Padding:
    def __init__(self, side="left"): ...
