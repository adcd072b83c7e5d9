"""Taking over the chat template and the special tokens of another tokenizer."""

from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase


def clone_chat_template(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    source_tokenizer_path: str,
    resize_to_multiple_of: int | None = 64,
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase, list[int]]:
    """Give a tokenizer the chat template, the added tokens and the end-of-sequence token of another one.

    Embeddings that are too few grow to a multiple of `resize_to_multiple_of`; they never shrink. The third value lists
    the ids of the new tokens: an adapter has to train them too.

    Raises:
        ValueError: the other tokenizer has no chat template.
    """
    source = AutoTokenizer.from_pretrained(source_tokenizer_path)
    if not source.chat_template:
        raise ValueError(f"`source_tokenizer_path={source_tokenizer_path!r}`: this tokenizer has no chat template.")
    known = set(tokenizer.get_vocab())
    tokenizer.chat_template = source.chat_template
    tokenizer.add_tokens([token for _, token in sorted(source.added_tokens_decoder.items())])
    if source.eos_token is not None:
        tokenizer.eos_token = source.eos_token
        model.config.eos_token_id = tokenizer.eos_token_id
        if model.generation_config is not None:
            model.generation_config.eos_token_id = tokenizer.eos_token_id
    if len(tokenizer) > model.get_input_embeddings().num_embeddings:
        model.resize_token_embeddings(len(tokenizer), pad_to_multiple_of=resize_to_multiple_of)
    vocabulary = tokenizer.get_vocab()
    return model, tokenizer, sorted(vocabulary[token] for token in set(vocabulary) - known)
