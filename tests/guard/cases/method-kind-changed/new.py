__all__ = ["Tokens"]


class Tokens:
    @property
    def count(self): ...

    @staticmethod
    def load(path): ...
