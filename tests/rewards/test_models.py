"""Rewards by models are what the models say of each sequence by itself."""

import copy
import logging

import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification, Qwen3Config, Qwen3ForSequenceClassification
from transformers.integrations import deepspeed
from transformers.integrations.fsdp import is_fsdp_enabled

from sternpost.data.chat import apply_chat_template
from sternpost.generation.trajectory import Trajectory
from sternpost.rewards import models
from sternpost.rewards.judge import Judge
from sternpost.rewards.models import RewardModel
from tests import tiny

TEXTS = ["the ship", "steer", "one two three one two three", "the", "", "the ship", "rest"]
PROMPTS = ["the sternpost stands"] * 3 + ["so that the"] * 4


def decoder(seed=0, **config):
    sizes = dict(
        vocab_size=304, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=8, max_position_embeddings=256, num_labels=1, initializer_range=0.2,
    )  # fmt: skip
    torch.manual_seed(seed)
    return Qwen3ForSequenceClassification(Qwen3Config(**sizes | config)).float()


def encoder():
    torch.manual_seed(0)
    sizes = dict(
        vocab_size=304,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_labels=1,
        initializer_range=0.5,
    )
    return BertForSequenceClassification(BertConfig(**sizes))


def chats():
    rows = [{"prompt": [{"role": "user", "content": prompt}]} for prompt in PROMPTS]
    return rows, [[{"role": "assistant", "content": text}] for text in TEXTS]


def texts():
    return [{"prompt": prompt} for prompt in PROMPTS], TEXTS


def alone(model, ids):
    """Each sequence in a batch of its own, by the model's own forward."""
    with torch.no_grad():
        return [model.eval()(input_ids=torch.tensor([each])).logits.item() for each in ids]


def ids_of(rows, completions, tokenizer):
    """Tokens of conversations as the template shows them, of text with its end token."""
    if isinstance(completions[0], str):
        ids = [tokenizer(row["prompt"] + text)["input_ids"] for row, text in zip(rows, completions)]
        return [[*each, tokenizer.eos_token_id] for each in ids]
    both = [{"messages": row["prompt"] + answer} for row, answer in zip(rows, completions)]
    return [tokenizer(apply_chat_template(each, tokenizer)["text"])["input_ids"] for each in both]


@pytest.mark.parametrize("data", [texts, chats])
@pytest.mark.parametrize(("make", "shared"), [(decoder, True), (decoder, False), (encoder, False)])
@pytest.mark.parametrize("room", [models.ROOM, 40])
def test_each_sequence_has_its_own_reward(data, make, shared, room, monkeypatch):
    """Laid end to end with shared prompts, or padded; in one batch or in several."""
    monkeypatch.setattr(models, "ROOM", room)
    if not shared:  # as for an architecture that cannot
        monkeypatch.setattr(models, "keep_sequences_apart", lambda model: False)
    model, tokenizer = make(), tiny.tokenizer()
    rows, completions = data()
    own = copy.deepcopy(model)
    own.config.pad_token_id = tokenizer.pad_token_id
    reward = RewardModel.of(model, tokenizer)
    assert reward.shared is shared
    assert not model.training
    expected = alone(own, ids_of(rows, completions, tokenizer))
    assert reward([row["prompt"] for row in rows], completions) == pytest.approx(expected, abs=1e-4)
    assert len({round(each, 4) for each in expected}) == len(TEXTS)  # else nothing would tell them apart


def test_a_tokenizer_without_a_pad_token_uses_the_end_token():
    """Then padding is not read, as in transformers; without an end token either, it is said."""
    tokenizer = tiny.tokenizer()
    tokenizer.pad_token = None
    model = decoder()
    own = copy.deepcopy(model)
    own.config.pad_token_id = tokenizer.eos_token_id
    rows, completions = texts()
    expected = alone(own, ids_of(rows, completions, tokenizer))
    assert RewardModel.of(model, tokenizer)(PROMPTS, completions) == pytest.approx(expected, abs=1e-4)
    tokenizer.pad_token = tokenizer.eos_token = None
    with pytest.raises(ValueError, match=r"`Qwen3ForSequenceClassification` .* neither a pad token nor an end token"):
        RewardModel.of(decoder(), tokenizer)


def test_what_the_assistant_began_is_gone_on_with():
    """A prompt that ends with the assistant and its completion are one message."""
    model, tokenizer = decoder(), tiny.tokenizer()
    reward = RewardModel.of(model, tokenizer)
    ask = {"role": "user", "content": "the ship"}
    begun, whole = [[ask, {"role": "assistant", "content": "one "}]], [[ask]]
    said = [[{"role": "assistant", "content": "two"}]]
    assert reward(begun, said) == reward(whole, [[{"role": "assistant", "content": "one two"}]])
    assert reward(begun, said) != reward(whole, said)


def test_a_judge_asks_models_beside_functions(tmp_path, caplog):
    """From a path, with the tokenizer beside it, named after its last part; in the order of the rewards."""
    path = tmp_path / "good-taste"
    model, tokenizer = decoder(dtype="float32"), tiny.tokenizer()
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)

    def lengths(completions):
        return [len(text) for text in completions]

    with caplog.at_level(logging.WARNING):
        judge = Judge([lengths, str(path), decoder(seed=1)], [None, None, tokenizer]).to("cpu")
    assert not caplog.records
    rows, completions = texts()
    found = judge(rows, [Trajectory([1], [2], [0.0], [True], True) for _ in rows], completions)
    assert found.names == ["lengths", "good-taste", "Qwen3ForSequenceClassification"]
    model.config.pad_token_id = tokenizer.pad_token_id
    expected = alone(model, ids_of(rows, completions, tokenizer))
    torch.testing.assert_close(found.rewards[:, 1], torch.tensor(expected), atol=1e-4, rtol=1e-4)
    assert found.rewards[:, 0].tolist() == [len(text) for text in TEXTS]
    assert not found.rewards[:, 2].allclose(found.rewards[:, 1])


def test_an_adapter_is_merged(tmp_path):
    """A reward model that was saved as an adapter with its head gives the rewards of both."""
    from peft import LoraConfig, TaskType, get_peft_model

    tokenizer, base = tiny.tokenizer(), decoder()
    base.save_pretrained(tmp_path / "base")
    adapted = get_peft_model(
        type(base).from_pretrained(tmp_path / "base"), LoraConfig(task_type=TaskType.SEQ_CLS, init_lora_weights=False)
    )
    with torch.no_grad():
        adapted.base_model.model.score.modules_to_save["default"].weight.mul_(3)
    adapted.save_pretrained(tmp_path / "adapter")
    tokenizer.save_pretrained(tmp_path / "adapter")
    rows, completions = texts()
    adapted.config.pad_token_id = tokenizer.pad_token_id
    expected = alone(adapted, ids_of(rows, completions, tokenizer))
    reward = RewardModel.of(str(tmp_path / "adapter"))
    assert reward.name == "adapter"
    assert reward([row["prompt"] for row in rows], completions) == pytest.approx(expected, abs=1e-4)
    assert RewardModel.of(adapted, tokenizer)(PROMPTS, completions) == pytest.approx(expected, abs=1e-4)


def test_what_is_no_reward_model_is_refused(tmp_path):
    """Each with its name and a way out."""
    tokenizer = tiny.tokenizer()
    for name, model in (("classes", decoder(num_labels=3)), ("language", tiny.model())):
        model.save_pretrained(tmp_path / name)
        tokenizer.save_pretrained(tmp_path / name)
        with pytest.raises(ValueError, match=rf"{name}' has `num_labels=[23]`, but a reward is one number"):
            RewardModel.of(str(tmp_path / name))
        with pytest.raises(ValueError, match="does not give one number per sequence"):
            RewardModel.of(model, tokenizer)
    headless = tiny.model()
    headless.config.num_labels = 1
    headless.save_pretrained(tmp_path / "headless")
    with pytest.raises(ValueError, match="headless' has no weights for the head"):
        RewardModel.of(str(tmp_path / "headless"))
    decoder().save_pretrained(tmp_path / "mute")
    with pytest.raises(ValueError, match="No tokenizer is published with the reward model `mute`"):
        RewardModel.of(str(tmp_path / "mute"))
    with pytest.raises(OSError, match=r"nowhere' is no path or id of a model: .* passed as a function"):
        RewardModel.of(str(tmp_path / "nowhere"))
    with pytest.raises(ValueError, match="do not fit together: The tokenizer has 300"):
        RewardModel.of(decoder(vocab_size=200), tokenizer)


def test_weights_are_loaded_whole(monkeypatch):
    """Also where transformers would spread those of a policy, which is as before afterwards."""

    class Sharding:
        def is_zero3(self):
            return True

    sharding = Sharding()
    deepspeed.set_hf_deepspeed_config(sharding)
    try:
        monkeypatch.setenv(models.FSDP_LOADING, "True")
        monkeypatch.setenv("ACCELERATE_USE_FSDP", "True")
        monkeypatch.setattr(torch.distributed, "is_available", lambda: True)
        monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
        assert deepspeed.is_deepspeed_zero3_enabled()
        assert is_fsdp_enabled()
        with models.whole_weights():
            assert not deepspeed.is_deepspeed_zero3_enabled()
            assert not is_fsdp_enabled()
        assert deepspeed.is_deepspeed_zero3_enabled()
        assert is_fsdp_enabled()
    finally:
        deepspeed.unset_hf_deepspeed_config()
