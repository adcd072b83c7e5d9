__all__ = ["Engine"]


class Engine:
    async def generate(self, prompts): ...
