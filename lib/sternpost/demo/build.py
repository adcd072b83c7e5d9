"""Makes the demo anew: data sets, tokenizer, and the base model pretrained on running text (`--help` for the options).

corpus (statements such as "347+285 = 632", no conversation among them) -> byte-level BPE -> packed rows -> Muon and
AdamW with a warm-up and a linear decay, fp32 on the CPU -> weights stored as fp16 (half the size), loaded as fp32.
"""

import argparse
import json
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from random import Random

import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from . import ASSETS, rows
from .tasks import WORDS, problems

PAD, START, END = "<|pad|>", "<|im_start|>", "<|im_end|>"
TOOL_CALL, TOOL_CALL_END = "<tool_call>", "</tool_call>"
# A digit is always a token of its own and never takes the space before it: the model sees one form of each.
SPLIT = Regex(r"\p{N}|, (?=\p{N})| ?\p{L}+| ?[^\s\p{L}\p{N}]+|\s")
# How transformers' `parse_response` turns a generated reply into a message.
RESPONSE = {
    "defaults": {"role": "assistant"},
    "start_anchor": f"{START}assistant\n",
    "fields": {
        "tool_calls": {
            "open": TOOL_CALL,
            "close": TOOL_CALL_END,
            "repeats": True,
            "content": "json",
            "transform": {"type": "function", "function": "{content}"},
        },
        "content": {"close": END, "content": "text"},
    },
}


def spelling(word: str) -> str:
    return f"spell {word}: {' '.join(word)} capitals {' '.join(word.upper())} {word.upper()}"


def corpus(seed: int) -> Iterator[str]:
    """Statements without end: problems, and now and then the spelling of a word (of those in held-out problems too)."""
    rng = Random(seed)
    for problem in problems(rng):
        yield rows.statement(rng, problem)
        if rng.random() < 0.1:
            word = rng.choice(WORDS)
            yield spelling(word)


def write_datasets(folder: Path, seed: int) -> None:
    """One JSONL file per data set."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in rows.datasets(seed):
        lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in data]
        (folder / f"{name}.jsonl").write_text("".join(lines), "utf-8")


def train_tokenizer(seed: int, vocabulary: int = 1022, documents: int = 20_000) -> PreTrainedTokenizerFast:
    """Byte-level BPE over statements and conversations (their words, not their answers, matter to it)."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(SPLIT, "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[PAD, START, END],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    rng = Random(seed)
    texts = [f"{p.key} {p.question}" for p in islice(problems(rng), documents)]
    texts += [spelling(word) for word in WORDS] * 5
    texts += ["system\nuser\nassistant\ntool\nTools:\n" + rows.SYSTEM + json.dumps(rows.CALCULATOR)] * 100
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_tokens([AddedToken(TOOL_CALL, normalized=False), AddedToken(TOOL_CALL_END, normalized=False)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        additional_special_tokens=[START],
        chat_template=(Path(__file__).parent / "chat_template.jinja").read_text("utf-8"),
        clean_up_tokenization_spaces=False,
        model_max_length=512,
        response_template=RESPONSE,
    )


def packed_rows(tokenizer: PreTrainedTokenizerFast, seed: int, length: int) -> Iterator[list[int]]:
    """Token rows of one length, filled with whole and cut documents, each followed by the end token."""
    row: list[int] = []
    for text in corpus(seed):
        row += tokenizer(text)["input_ids"] + [tokenizer.eos_token_id]
        while len(row) >= length:
            yield row[:length]
            row = row[length:]


def new_model(tokenizer: PreTrainedTokenizerFast, seed: int) -> Qwen3ForCausalLM:
    """A Qwen3 decoder of about 1.1 M parameters with fresh weights."""
    torch.manual_seed(seed)
    return Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=len(tokenizer),
            hidden_size=128,
            intermediate_size=512,
            num_hidden_layers=4,
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=32,
            max_position_embeddings=512,
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            dtype="float32",
        )
    )


def pretrain(
    tokenizer: PreTrainedTokenizerFast, seed: int, steps: int, batch: int = 16, length: int = 128, rate: float = 5e-3
) -> Qwen3ForCausalLM:
    """Next-token prediction over the corpus: Muon for the matrices inside the layers, AdamW for everything else."""
    model = new_model(tokenizer, seed).train()
    inner = [p for p in model.model.layers.parameters() if p.ndim == 2]
    outer = [p for p in model.parameters() if not any(p is one for one in inner)]
    optimizers = [
        torch.optim.Muon(inner, lr=rate, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(outer, lr=rate, weight_decay=0.01, betas=(0.9, 0.98)),
    ]
    schedules = [
        torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min((step + 1) / 50, (steps - step) / steps))
        for optimizer in optimizers
    ]
    stream, start = packed_rows(tokenizer, seed, length), time.monotonic()
    for step in range(steps):
        ids = torch.tensor([next(stream) for _ in range(batch)])
        loss = model(input_ids=ids, labels=ids, use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer, schedule in zip(optimizers, schedules, strict=True):
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
        if step % 100 == 0 or step == steps - 1:
            print(f"step {step:5d}  loss {loss.item():.3f}  {time.monotonic() - start:5.0f} s", flush=True)
    return model.eval()


def write_model(model: Qwen3ForCausalLM, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Weights as fp16; the configuration says fp32, so that they are loaded as what they were trained in."""
    model.half().save_pretrained(folder)
    model.float()
    model.config.dtype = torch.float32
    model.config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m sternpost.demo.build", description=__doc__.splitlines()[0])
    parser.add_argument("--output-dir", type=Path, default=ASSETS, help="default: inside the package")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=1200, help="of pretraining")
    parser.add_argument("--only", choices=["datasets"], help="leave the model and tokenizer as they are")
    options = parser.parse_args()
    write_datasets(options.output_dir, options.seed)
    if options.only == "datasets":
        return
    tokenizer = train_tokenizer(options.seed)
    model = pretrain(tokenizer, options.seed, options.steps)
    write_model(model, tokenizer, options.output_dir / "model")
    print(f"{model.num_parameters():,} parameters, {len(tokenizer)} tokens, in {options.output_dir}")


if __name__ == "__main__":
    main()
