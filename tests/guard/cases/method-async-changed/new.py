__all__ = ["Engine", "load"]


class Engine:
    async def generate(self, prompts): ...


async def load(path): ...
