"""A model's head in float32, whatever the precision of the rest."""

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel


class Float32Head(nn.Linear):
    """A linear head whose products are made in float32, also under autocast."""

    def forward(self, hidden: Tensor) -> Tensor:
        with torch.autocast(hidden.device.type, enabled=False):
            bias = None if self.bias is None else self.bias.float()
            return nn.functional.linear(hidden.float(), self.weight.float(), bias)


def compute_head_in_float32(model: PreTrainedModel) -> None:
    """Keep the weights of the head, and of embeddings that are tied to it, in float32, and make logits in float32.

    Raises:
        ValueError: the head is no plain linear layer: quantised, or with an adapter.
    """
    head, embeddings = model.get_output_embeddings(), model.get_input_embeddings()
    if type(head) is not nn.Linear:
        raise ValueError(
            f"`cast_lm_head_to_fp32=True` needs a plain linear head, but this is a {type(head).__name__}. Leave the "
            "head out of `peft_config` and of the quantisation, or leave the option out."
        )
    dtype = embeddings.weight.dtype
    tied = embeddings.weight is head.weight
    head.__class__ = Float32Head
    head.float()
    if tied and dtype != torch.float32:
        embeddings.weight = head.weight
        embeddings.register_forward_hook(lambda module, inputs, output: output.to(dtype))
