"""Messages with images: text and pictures as typed parts of the content."""

from collections.abc import Sequence
from typing import Any

from transformers import ProcessorMixin


def prepare_multimodal_messages(
    messages: list[dict[str, Any]], images: list[Any] | None = None
) -> list[dict[str, Any]]:
    """New messages whose content is a list of typed parts, with `images` put into the places left for them.

    Places are parts `{"type": "image"}` without a picture. If no message has a typed content, places are made before
    the text of the first user message.

    Raises:
        ValueError: more or fewer images than places, or images but no user message to put them into.
    """
    images = list(images or [])
    typed = any(isinstance(message.get("content"), list) for message in messages)
    prepared = [with_typed_content(message) for message in messages]
    if images and not typed:
        user = next((message for message in prepared if message["role"] == "user"), None)
        if user is None:
            raise ValueError("there are images but no user message to put them into. Mark their places in the content.")
        user["content"] = [{"type": "image"} for _ in images] + user["content"]
    places = [part for message in prepared for part in message.get("content", ()) if is_place(part)]
    if len(places) != len(images) and (images or typed):
        raise ValueError(
            f"the messages have {len(places)} places for images, but there are {len(images)} images. Give as many "
            'parts {"type": "image"} as images.'
        )
    for place, image in zip(places, images):
        place["image"] = image
    return prepared


def with_typed_content(message: dict[str, Any]) -> dict[str, Any]:
    """A copy of a message whose content, if it has one, is a list of parts of its own."""
    content = message.get("content")
    if content is None:
        return {key: value for key, value in message.items() if key != "content"}
    if isinstance(content, str):
        return {**message, "content": [{"type": "text", "text": content}]}
    parts = [{key: value for key, value in part.items() if value is not None} for part in content]
    return {**message, "content": parts}


def is_place(part: dict[str, Any]) -> bool:
    """Whether a part is an image whose picture is not given in the part itself."""
    return part.get("type") == "image" and not any(
        part.get(key) is not None for key in ("image", "url", "path", "base64")
    )


def has_images(columns: Sequence[str]) -> bool:
    """Whether rows with these columns come with images."""
    return "image" in columns or "images" in columns


def check_processor(processing_class: Any, name: str) -> None:
    """Raise unless there is something to process the images of a split with."""
    if not isinstance(processing_class, ProcessorMixin):
        raise ValueError(
            f"the {name} data set has a column of images, but the `processing_class` is a tokenizer. Pass a "
            "processor, or remove the column."
        )


def images_of(example: dict[str, Any]) -> list[Any]:
    """The images of a row, from the column `images` or `image`."""
    images = example.get("images")
    if images is None:
        images = example.get("image")
    if images is None:
        return []
    return list(images) if isinstance(images, list | tuple) else [images]


def image_tokens(processor: ProcessorMixin) -> list[int]:
    """The ids that stand for images, videos and sounds in a text."""
    names = ("image_token_id", "video_token_id", "audio_token_id")
    return [token for name in names if (token := getattr(processor, name, None)) is not None]
