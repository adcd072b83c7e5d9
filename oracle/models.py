"""Tiny models and a tokenizer, made from configs: the same weights for both libraries, and no network."""

import random
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    GPT2Config,
    GraniteConfig,
    LlamaConfig,
    PreTrainedConfig,
    PreTrainedTokenizerFast,
    Qwen3Config,
    Qwen3MoeConfig,
)

TEMPLATE = """\
{%- if tools -%}
<|im_start|>tools
{% for tool in tools %}{{ tool | tojson }}
{% endfor %}<|im_end|>
{% endif -%}
{%- if manner -%}
<|im_start|>manner
{{ manner }}<|im_end|>
{% endif -%}
{%- for message in messages -%}
{%- if message.role == 'assistant' -%}
<|im_start|>assistant
{% generation %}{{ message.content }}
{%- for call in message.tool_calls or [] %}<call>{{ call.function | tojson }}</call>{% endfor %}<|im_end|>
{% endgeneration %}
{%- else -%}
<|im_start|>{{ message.role }}
{{ message.content }}<|im_end|>
{% endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
<|im_start|>assistant
{% endif -%}
"""
TEXT = "the a sternpost holds rudder ship timber sails north storm harbour mast keel ropes tide wind seven eleven"
VOCABULARY = 420
SIZE = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}
DROPOUT = {"attention_dropout": 0.0}


def sentence(draw: random.Random, words: int) -> str:
    return " ".join(draw.choice(TEXT.split()) for _ in range(words))


@cache
def tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level BPE with merges inside and across words, so that the borders of texts and tokens differ."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    special = ["<|pad|>", "<|im_start|>", "<|im_end|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    draw = random.Random(0)
    bpe.train_from_iterator([sentence(draw, 20) for _ in range(200)], trainer)
    made = PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token="<|im_end|>", pad_token="<|pad|>")
    made.chat_template = TEMPLATE
    return made


CONFIGS: dict[str, Callable[..., PreTrainedConfig]] = {
    "tied": lambda **kw: Qwen3Config(
        **SIZE, **DROPOUT, intermediate_size=96, head_dim=16, tie_word_embeddings=True, **kw
    ),
    "untied": lambda **kw: LlamaConfig(**SIZE, **DROPOUT, intermediate_size=96, tie_word_embeddings=False, **kw),
    "moe": lambda **kw: Qwen3MoeConfig(
        **SIZE, **DROPOUT, intermediate_size=96, head_dim=16, moe_intermediate_size=32, num_experts=4,
        num_experts_per_tok=2, router_aux_loss_coef=0.02, **kw,
    ),
    "softcap": lambda **kw: Gemma2Config(
        **SIZE, **DROPOUT, intermediate_size=96, head_dim=16, sliding_window=16, final_logit_softcapping=5.0, **kw
    ),
    "scaled": lambda **kw: GraniteConfig(**SIZE, **DROPOUT, intermediate_size=96, logits_scaling=3.0, **kw),
    "positions": lambda **kw: GPT2Config(
        n_embd=64, n_layer=2, n_head=4, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, **kw
    ),
    "dropout": lambda **kw: GPT2Config(n_embd=64, n_layer=2, n_head=4, **kw),
}  # fmt: skip
"""What the library must score: tied and untied heads, experts, capped and scaled logits, learned positions."""


def build(name: str, kind: Any = AutoModelForCausalLM, **options: Any) -> Any:
    """A model with the same float32 weights on every call, large enough that no logit is near zero."""
    made = tokenizer()
    tokens = {"eos_token_id": made.eos_token_id, "pad_token_id": made.pad_token_id}
    config = CONFIGS[name](vocab_size=len(made), bos_token_id=None, **tokens, **options)
    torch.manual_seed(0)
    model = kind.from_config(config, dtype=torch.float32)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(4)  # the usual start is so small that all tokens are nearly equally likely
    return model


def build_other(name: str) -> Any:
    """A model that says nearly the same: a reference that differs from the policy already in the first step."""
    model = build(name)
    torch.manual_seed(7)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.add_(torch.randn_like(parameter), alpha=0.05 * parameter.std().item())
    return model
