"""By position nobody can tell; names of positional-only and of starred arguments are nobody's business."""

__all__ = ["chat", "render"]


def chat(rows, tokenizer, tools=None, *args, **kwargs): ...


def render(text, /, *, add_generation_prompt=False): ...
