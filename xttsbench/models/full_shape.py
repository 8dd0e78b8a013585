"""XTTSv2's exact shape with seeded random weights: times are the released model's, the sound is noise.

The stop token is never drawn; how long an utterance lasts is set from its text at a human rate.
"""

from __future__ import annotations

import json
from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from TTS.tts.configs.xtts_config import XttsArgs, XttsConfig
from TTS.tts.layers.xtts.tokenizer import VoiceBpeTokenizer
from TTS.tts.models.xtts import Xtts

from xttsbench.settings import LANGUAGES, TOKEN_S
from xttsbench.texts import TEXTS

TEXT_TOKENS = 6681
CHARS_PER_S = 14.0
NEVER = -1e4
SHAPE: dict[str, Any] = dict(
    gpt_layers=30,
    gpt_n_model_channels=1024,
    gpt_n_heads=16,
    gpt_max_audio_tokens=605,
    gpt_max_text_tokens=402,
    gpt_max_prompt_tokens=70,
    gpt_number_text_tokens=TEXT_TOKENS,
    gpt_num_audio_tokens=1026,
    gpt_start_audio_token=1024,
    gpt_stop_audio_token=1025,
    gpt_code_stride_len=1024,
    gpt_use_perceiver_resampler=True,
)


def tokenizer_json() -> str:
    """Return a byte-pair vocabulary of our own with exactly XTTSv2's 6,681 entries, as a `tokenizers` file.

    Merges are learned from the texts that ship and held to three characters, so that a text gives about as many
    tokens as in the released model; what is left of the 6,681 is reserved.
    """
    special = ["[STOP]", "[UNK]", "[SPACE]", "[START]", *(f"[{language}]" for language in LANGUAGES)]
    tokenizer = Tokenizer(models.BPE(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.decoder = decoders.Fuse()
    ascii_text = "".join(chr(c) for c in range(33, 127))
    corpus = [ascii_text, *(t.text.lower() for t in TEXTS)]
    trainer = trainers.BpeTrainer(
        vocab_size=TEXT_TOKENS, special_tokens=special, max_token_length=3, min_frequency=2, show_progress=False
    )
    tokenizer.train_from_iterator(corpus, trainer)
    reserved = [f"[RESERVED_{i}]" for i in range(tokenizer.get_vocab_size(), TEXT_TOKENS)]
    tokenizer.add_tokens([AddedToken(word, special=True) for word in reserved])
    return tokenizer.to_str()


class HumanRateTokenizer(VoiceBpeTokenizer):  # type: ignore[misc]
    """The library's tokenizer, which also tells the GPT how many audio tokens the sentence shall last."""

    def __init__(self, gpt: Any, vocab: str) -> None:
        super().__init__()
        self.tokenizer = Tokenizer.from_str(vocab)
        self._gpt = [gpt]
        self._longest = gpt.max_gen_mel_tokens

    def encode(self, txt: str, lang: str) -> list[int]:
        self._gpt[0].max_gen_mel_tokens = min(self._longest, human_tokens(txt))
        ids: list[int] = super().encode(txt, lang)
        return ids


def human_tokens(text: str) -> int:
    """Return how many audio tokens a person would need for `text` at 14 characters a second."""
    return max(1, round(len(text) / CHARS_PER_S / TOKEN_S))


def build(*, seed: int = 0, shape: dict[str, Any] | None = None) -> Xtts:
    """Build the model from `shape` (XTTSv2's own by default) with weights drawn under `seed`, on the CPU."""
    vocab = tokenizer_json()
    config = XttsConfig(
        model_args=XttsArgs(**{**(shape or SHAPE), "gpt_start_text_token": 3, "gpt_stop_text_token": 0})
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        xtts = Xtts(config)
    with torch.no_grad():
        bias = xtts.gpt.mel_head.bias
        bias[xtts.gpt.stop_audio_token] = NEVER
    xtts.tokenizer = HumanRateTokenizer(xtts.gpt, vocab)
    xtts.speaker_manager = None
    xtts.gpt.init_gpt_for_inference(kv_cache=xtts.args.kv_cache)
    xtts.eval()
    return xtts


def vocabulary_size(vocab: str) -> int:
    """Return the number of entries in a `tokenizers` file, added ones included."""
    data = json.loads(vocab)
    ids = {*data["model"]["vocab"].values(), *(t["id"] for t in data["added_tokens"])}
    return int(max(ids)) + 1
