"""Images in messages: each in its place, and the rows of the user left alone."""

import copy

import pytest

from sternpost import prepare_multimodal_messages

PLAIN = [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}, {"role": "assistant", "content": "a"}]


def test_places_are_made_before_the_first_user_text():
    """Without typed content, all images come before what the user says first."""
    before = copy.deepcopy(PLAIN)
    prepared = prepare_multimodal_messages(PLAIN, ["one", "two"])
    assert prepared[1]["content"] == [
        {"type": "image", "image": "one"},
        {"type": "image", "image": "two"},
        {"type": "text", "text": "u"},
    ]
    assert prepared[0]["content"] == [{"type": "text", "text": "s"}]
    assert before == PLAIN


def test_given_places_are_filled_in_order():
    """Marked places get the images in order; a part with a picture of its own keeps it."""
    parts = [{"type": "image", "text": None}, {"type": "text", "text": "and"}, {"type": "image", "image": "own"}]
    messages = [
        {"role": "user", "content": parts},
        {"role": "assistant", "content": "a"},
        {"role": "user", "content": [{"type": "image"}]},
    ]
    prepared = prepare_multimodal_messages(messages, ["one", "two"])
    images = [part["image"] for message in prepared for part in message["content"] if part["type"] == "image"]
    assert images == ["one", "own", "two"]
    assert "image" not in messages[0]["content"][0]


def test_without_images():
    """Text alone is only typed; a call of a tool without content stays without."""
    call = {"role": "assistant", "content": None, "tool_calls": [{"function": {}}]}
    prepared = prepare_multimodal_messages([*PLAIN, call])
    assert [message.get("content") for message in prepared] == [
        [{"type": "text", "text": "s"}],
        [{"type": "text", "text": "u"}],
        [{"type": "text", "text": "a"}],
        None,
    ]


@pytest.mark.parametrize(
    ("messages", "images", "problem"),
    [
        ([{"role": "user", "content": [{"type": "image"}]}], ["a", "b"], "1 places for images, but there are 2"),
        ([{"role": "user", "content": [{"type": "image"}]}], None, "1 places for images, but there are 0"),
        ([{"role": "assistant", "content": "x"}], ["a"], "no user message"),
    ],
)
def test_counts_must_agree(messages, images, problem):
    """More or fewer images than places is an error."""
    with pytest.raises(ValueError, match=problem):
        prepare_multimodal_messages(messages, images)
