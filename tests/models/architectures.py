"""Tiny models of many architectures, with random weights and without dropout."""

import torch
import transformers
from transformers import AutoModelForCausalLM, PreTrainedModel

SIZES = dict(
    vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
    num_key_value_heads=2, max_position_embeddings=64, pad_token_id=0, bos_token_id=1, eos_token_id=2,
)  # fmt: skip
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}

EXACT = {
    "Llama": {},
    "Qwen2": {},
    "Qwen3": {"head_dim": 8},
    "Mistral": {"sliding_window": 4},
    "Gemma2": {"head_dim": 8, "sliding_window": 4, "final_logit_softcapping": 3.0},
    "Gemma3Text": {"head_dim": 8, "sliding_window": 4},
    "Cohere2": {"sliding_window": 4, "logit_scale": 0.25},
    "Granite": {"logits_scaling": 8.0},
    "Phi3": {},
    "Qwen3Moe": {"head_dim": 8, **EXPERTS},
    "Mixtral": {"num_local_experts": 4, "num_experts_per_tok": 2},
}
"""Architectures whose rows can be laid end to end, and what they need beside `SIZES`."""

PADDED_ONLY = {
    "Bloom": {"n_layer": 2, "n_head": 4},
    "Mamba": {"state_size": 4},
    "GptOss": {"head_dim": 8, "num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": 4},
    "FalconH1": {
        "mamba_d_ssm": 32, "mamba_n_heads": 4, "mamba_d_head": 8, "mamba_d_state": 8, "mamba_n_groups": 1,
        "lm_head_multiplier": 0.5,
    },
}  # fmt: skip
"""Architectures whose rows would see one another: ALiBi, state spaces, attention sinks without row masks."""


def build(name: str) -> PreTrainedModel:
    """A float32 model whose weights are large enough that mistakes show."""
    config = getattr(transformers, f"{name}Config")(**SIZES | (EXACT | PADDED_ONLY)[name])
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config).float().train()
    for parameter in model.parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.2)
    return model
