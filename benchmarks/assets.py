"""Everything that is measured on, made offline and the same on every run: tokenizers, models, rows.

    build(cache) -> Assets     once per definition, about a minute; later calls find it on disk

The text is Python's own standard library, so nothing is downloaded. Weights are random: speed and memory do not depend
on what a model knows.
"""

import hashlib
import itertools
import random
import shutil
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CHAT_TEMPLATE = """\
{%- for message in messages -%}
{%- if message.role == 'assistant' -%}
<|im_start|>assistant
{% generation %}{{ message.content }}<|im_end|>
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
SPECIAL_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
VOCABULARY = 32_000

SHAPES = {
    "small": {"num_hidden_layers": 8, "vocab_size": VOCABULARY},
    "wide": {"num_hidden_layers": 4, "vocab_size": 152_000},
}
"""48 M and 94 M parameters: an ordinary head, and one that costs more than the layers below it."""
SHARED_SHAPE = {"hidden_size": 512, "intermediate_size": 2048, "num_attention_heads": 8, "num_key_value_heads": 4}

FIXED_ROWS, FIXED_TOKENS = 64, 512
PAIRS = 16
PROMPTS = 16
CONVERSATIONS = 5_000
VARLEN_CONVERSATIONS = 40


@dataclass(frozen=True)
class Assets:
    """Where the assets lie."""

    root: Path

    def model(self, name: str) -> str:
        """Directory of a model and its tokenizer: `small` or `wide`."""
        return str(self.root / name)

    def rows(self, name: str) -> str:
        """Directory of a data set on disk: a key of `rows` in `write`."""
        return str(self.root / "rows" / name)


def build(cache: Path) -> Assets:
    """Make the assets, unless this definition of them is in the cache already."""
    import tokenizers
    import transformers

    definition = (Path(__file__).read_text(), transformers.__version__, tokenizers.__version__)
    digest = hashlib.sha256("\n".join((*definition, sysconfig.get_python_version())).encode()).hexdigest()[:12]
    root = cache / f"assets-{digest}"
    if not root.exists():
        unfinished = cache / f"unfinished-{digest}"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        write(unfinished)
        unfinished.rename(root)
    return Assets(root)


def write(root: Path) -> None:
    text = standard_library()
    tokenizer = train_tokenizer(text)
    for name, shape in SHAPES.items():
        model = random_model(shape, tokenizer)
        model.save_pretrained(root / name)
        tokenizer.save_pretrained(root / name)
    ids = tokenizer(text[: FIXED_ROWS * FIXED_TOKENS * 8])["input_ids"]
    rows = {
        "fixed": [fixed_row(ids, index, learned=1.0) for index in range(FIXED_ROWS)],
        "masked": [fixed_row(ids, index, learned=0.5) for index in range(FIXED_ROWS)],
        "pairs": [pair(tokenizer, ids, index, prompt=256, answer=256) for index in range(PAIRS)],
        "long_pairs": [pair(tokenizer, ids, index, prompt=768, answer=256) for index in range(PAIRS)],
        "prompts_128": [prompt(tokenizer, ids, index, 128) for index in range(PROMPTS)],
        "prompts_512": [prompt(tokenizer, ids, index, 512) for index in range(PROMPTS)],
        "conversations": conversations(text, CONVERSATIONS, seed=5, median_characters=700),
        "varlen": conversations(text, VARLEN_CONVERSATIONS, seed=1, median_characters=500),
    }
    from datasets import Dataset

    for name, examples in rows.items():
        Dataset.from_list(examples).save_to_disk(root / "rows" / name)


def standard_library() -> str:
    """The source text of Python's standard library."""
    root = Path(sysconfig.get_paths()["stdlib"])
    files = (file for file in sorted(root.rglob("*.py")) if "site-packages" not in file.parts)
    texts = []
    for file in files:
        try:
            texts.append(file.read_text(encoding="utf-8"))
        except UnicodeDecodeError:  # some test files are written in other encodings on purpose
            continue
    return "\n".join(texts)


def train_tokenizer(text: str) -> Any:
    """A byte-level BPE tokenizer whose chat template marks what the assistant says."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    sample = text[:12_000_000]
    bpe.train_from_iterator((sample[at : at + 10_000] for at in range(0, len(sample), 10_000)), trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def random_model(shape: dict[str, int], tokenizer: Any) -> Any:
    """A decoder with tied embeddings and random float32 weights, always the same."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(0)
    config = Qwen2Config(
        **SHARED_SHAPE,
        **shape,
        max_position_embeddings=8192,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return Qwen2ForCausalLM(config).float()


def fixed_row(ids: list[int], index: int, learned: float) -> dict[str, list[int]]:
    """`FIXED_TOKENS` tokens of text, of which the last share `learned` has labels."""
    tokens = ids[index * FIXED_TOKENS : (index + 1) * FIXED_TOKENS]
    masked = round((1 - learned) * FIXED_TOKENS)
    return {"input_ids": tokens, "labels": [-100] * masked + tokens[masked:]}


def pair(tokenizer: Any, ids: list[int], index: int, prompt: int, answer: int) -> dict[str, str]:
    """A prompt and two answers of about these many tokens each."""
    start = index * (prompt + 2 * answer)
    ends = (start, start + prompt, start + prompt + answer, start + prompt + 2 * answer)
    texts = [tokenizer.decode(ids[first:last]) for first, last in itertools.pairwise(ends)]
    return dict(zip(("prompt", "chosen", "rejected"), texts, strict=True))


def prompt(tokenizer: Any, ids: list[int], index: int, length: int) -> dict[str, str]:
    """A prompt of about this many tokens."""
    return {"prompt": tokenizer.decode(ids[index * length : (index + 1) * length])}


def conversations(text: str, count: int, seed: int, median_characters: int) -> list[dict[str, Any]]:
    """Conversations of one or two rounds, whose lengths are spread log-normally around a median."""
    draw = random.Random(seed)

    def piece(characters: int) -> str:
        start = draw.randrange(len(text) - characters)
        return text[start : start + characters]

    def spread(median: float) -> int:
        return max(40, int(median * draw.lognormvariate(0, 0.8)))

    rows = []
    for _ in range(count):
        messages = round_of(piece(spread(median_characters / 2)), piece(spread(median_characters)))
        if draw.random() < 0.3:
            messages += round_of(piece(120), piece(400))
        rows.append({"messages": messages})
    return rows


def round_of(question: str, answer: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
