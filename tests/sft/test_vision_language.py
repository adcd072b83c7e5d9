"""Vision-language rows: images reach the model, and only what is said is learned."""

import pytest
import torch
from datasets import Dataset
from transformers import CLIPVisionConfig, LlavaConfig, LlavaForConditionalGeneration, LlavaProcessor

from sternpost import SFTConfig, SFTTrainer

from .. import tiny

Image = pytest.importorskip("PIL.Image")
CLIPImageProcessorPil = pytest.importorskip("transformers.models.clip.image_processing_pil_clip").CLIPImageProcessorPil

TYPED_CONTENT = (
    "(message['content'] if message['content'] is string else "
    "(message['content'] | map(attribute='text', default='<image>') | join))"
)


def processor() -> LlavaProcessor:
    tokenizer = tiny.tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image>"]})
    images = CLIPImageProcessorPil(size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16})
    return LlavaProcessor(
        image_processor=images, tokenizer=tokenizer, patch_size=8, vision_feature_select_strategy="default",
        num_additional_image_tokens=1, chat_template=tiny.CHAT_TEMPLATE.replace("message['content']", TYPED_CONTENT),
    )  # fmt: skip


def model(processing_class: LlavaProcessor) -> LlavaForConditionalGeneration:
    text = tiny.model().config
    vision = CLIPVisionConfig(
        hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2, image_size=16, patch_size=8
    )
    torch.manual_seed(0)
    token = processing_class.tokenizer.convert_tokens_to_ids("<image>")
    return LlavaForConditionalGeneration(LlavaConfig(vision_config=vision, text_config=text, image_token_index=token))


def rows(form: str) -> Dataset:
    made = []
    for i in range(8):
        ask, say = (
            {"role": "user", "content": "what stands still"},
            {"role": "assistant", "content": "ship " * (1 + i % 3)},
        )
        row = {"images": [Image.new("RGB", (16, 16), (i * 30, 0, 100))]}
        made.append(row | ({"messages": [ask, say]} if form == "messages" else {"prompt": [ask], "completion": [say]}))
    return Dataset.from_list(made)


def trainer(path, form: str, **options) -> SFTTrainer:
    processing_class = processor()
    defaults = dict(
        report_to="none", disable_tqdm=True, save_strategy="no", logging_steps=1, per_device_train_batch_size=2,
        max_steps=3, learning_rate=1e-2, train_sampling_strategy="sequential", dataloader_pin_memory=False,
    )  # fmt: skip
    return SFTTrainer(
        model(processing_class), SFTConfig(str(path), **defaults | options), train_dataset=rows(form),
        processing_class=processing_class,
    )  # fmt: skip


@pytest.mark.parametrize("form", ["messages", "prompt_completion"])
def test_loss_is_the_models_own(tmp_path, form):
    """The first loss equals what the model computes from its logits for the same batch."""
    made = trainer(tmp_path, form)
    batch = next(iter(made.get_train_dataloader()))
    with torch.no_grad():
        expected = made.model(**batch).loss
    made.train()
    assert made.state.log_history[0]["loss"] == pytest.approx(float(expected), rel=1e-4)
    assert made.state.log_history[2]["loss"] < made.state.log_history[0]["loss"]


def test_image_changes_the_loss(tmp_path):
    """The pixels reach the model: another image, another score."""
    made = trainer(tmp_path, "messages")
    batch = next(iter(made.get_train_dataloader()))
    with torch.no_grad():
        seen = made.model(**batch).loss
        blind = made.model(**{**batch, "pixel_values": torch.zeros_like(batch["pixel_values"])}).loss
    assert seen != blind


def test_only_the_completion_is_learned(tmp_path):
    """Images, padding and prompts carry no label; rows with a completion learn it by default."""
    batch = next(iter(trainer(tmp_path, "prompt_completion").get_train_dataloader()))
    tokenizer = tiny.tokenizer()
    for labels, words in zip(batch["labels"], (1, 2), strict=True):
        assert "ship " * words in tokenizer.decode(labels[labels != -100])
        assert "stands" not in tokenizer.decode(labels[labels != -100])
    whole = next(iter(trainer(tmp_path, "messages").get_train_dataloader()))
    learned = whole["labels"] != -100
    assert learned.sum() > (batch["labels"] != -100).sum()
    assert not (learned & (whole["attention_mask"] == 0)).any()


def test_assistant_only(tmp_path):
    """With messages, `assistant_only_loss` learns what the assistant says and its end token."""
    batch = next(iter(trainer(tmp_path, "messages", assistant_only_loss=True).get_train_dataloader()))
    decoded = tiny.tokenizer().decode(batch["labels"][0][batch["labels"][0] != -100])
    assert decoded.startswith("ship")
    assert decoded.endswith("<|im_end|>")


def test_images_need_a_processor(tmp_path):
    """Rows with images and only a tokenizer are refused."""
    with pytest.raises(ValueError, match="Pass a processor"):
        SFTTrainer(
            tiny.model(), SFTConfig(str(tmp_path)), train_dataset=rows("messages"), processing_class=tiny.tokenizer()
        )


def test_images_are_not_packed(tmp_path):
    """Packing and padding-free layouts are refused for rows with images."""
    with pytest.raises(ValueError, match="rows with images do not allow"):
        trainer(tmp_path, "messages", packing=True)
