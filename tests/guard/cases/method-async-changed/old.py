__all__ = ["Engine"]


class Engine:
    def generate(self, prompts): ...
