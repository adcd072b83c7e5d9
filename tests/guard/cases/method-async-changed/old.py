__all__ = ["Engine", "load"]


class Engine:
    def generate(self, prompts): ...


def load(path): ...
