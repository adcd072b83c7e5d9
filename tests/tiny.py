"""A tiny tokenizer, model and rows for tests that need no trained weights."""

import functools
import random
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

SENTENCE = "the sternpost stands still so that the rest of the ship can steer one two three"
WORDS = SENTENCE.split()
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
CHAT_TEMPLATE = (
    "{%- for message in messages %}"
    "{{- '<|im_start|>' + message['role'] + '\n' }}"
    "{%- if message['role'] == 'assistant' %}"
    "{% generation %}{{- message['content'] + '<|im_end|>' }}{% endgeneration %}"
    "{%- else %}{{- message['content'] + '<|im_end|>' }}{%- endif %}{{- '\n' }}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{%- endif %}"
)


@functools.cache
def trained_tokenizer() -> str:
    """A byte-level BPE tokenizer as JSON."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=list(SPECIAL), initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator([SENTENCE] * 5, trainer)
    return tokenizer.to_str()


def tokenizer() -> PreTrainedTokenizerFast:
    """A fresh tokenizer with a chat template that marks what the assistant says."""
    made = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(trained_tokenizer()), eos_token="<|im_end|>", pad_token="<|endoftext|>"
    )
    made.chat_template = CHAT_TEMPLATE
    return made


def model(seed: int = 0, **config: Any) -> Qwen3ForCausalLM:
    """A Qwen3 of about 20 thousand parameters with random weights; the same weights for the same seed."""
    sizes = dict(
        vocab_size=304, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=8, max_position_embeddings=256, tie_word_embeddings=True,
    )  # fmt: skip
    torch.manual_seed(seed)
    return Qwen3ForCausalLM(Qwen3Config(**sizes | config))


def text(generator: random.Random, longest: int) -> str:
    return " ".join(generator.choice(WORDS) for _ in range(generator.randint(1, longest)))


def conversations(count: int = 24, seed: int = 0) -> list[dict[str, Any]]:
    """Rows with one question and one answer of different lengths."""
    generator = random.Random(seed)
    return [
        {
            "messages": [
                {"role": "user", "content": text(generator, 9)},
                {"role": "assistant", "content": text(generator, 20)},
            ]
        }
        for _ in range(count)
    ]


def losses(trainer: Any) -> list[tuple[float, float]]:
    """Loss and gradient norm of each logged step."""
    return [(line["loss"], line["grad_norm"]) for line in trainer.state.log_history if "loss" in line]
