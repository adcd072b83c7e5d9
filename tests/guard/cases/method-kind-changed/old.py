__all__ = ["Tokens"]


class Tokens:
    def count(self): ...

    @staticmethod
    def load(path): ...
