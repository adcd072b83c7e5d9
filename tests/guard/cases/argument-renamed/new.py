__all__ = ["chat", "render"]


def chat(rows, processing_class, tools=None, *rest, **options): ...


def render(message, /, *, generation_prompt=False): ...
