"""What the library really does with these settings, where that is not what their names promise.

Read in the source of coqui-tts 0.28.0 and held by tests against it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from xttsbench.settings import SETTINGS, STREAMING, samples_of
from xttsbench.spec import Trial


def caveats(trial: Trial, *, char_limits: Mapping[str, int] | None = None) -> dict[str, str]:
    """Return cause -> sentence for everything about a trial that a reader would take wrongly.

    `char_limits` are the model's own limits by language, above which it splits text.
    """
    s, found = trial.settings, {}
    stock = trial.engine == "stock"
    if stock and s.overlap_wav_len > samples_of(s.stream_chunk_size, speed=s.speed):
        found["overlap_repeats_audio"] = (
            f"overlap_wav_len {s.overlap_wav_len} is longer than a chunk of {s.stream_chunk_size} tokens "
            f"({samples_of(s.stream_chunk_size, speed=s.speed)} samples): audio is repeated, and rtf looks better than it is"
        )
    elif stock and s.overlap_wav_len == samples_of(s.stream_chunk_size, speed=s.speed):
        found["first_chunk_empty"] = (
            f"the first chunk of {s.stream_chunk_size} tokens is empty at overlap_wav_len {s.overlap_wav_len}; ttfc counts the first that is not"
        )
    if stock and not s.do_sample:
        found["do_sample_still_samples"] = (
            "do_sample=False still samples in stock streaming, without temperature, top_k and top_p; greedy is top_k=1"
        )
    if stock and trial.config.deepspeed:
        found["deepspeed_half_precision"] = (
            f"DeepSpeed runs the GPT in half precision, whatever the precision ({trial.config.precision}) says"
        )
    if trial.config.precision == "bf16" and trial.engine in ("naive", "whole"):
        found["bf16_inference_fails"] = (
            "Xtts.inference hands samples over through numpy, which has no bf16: naive and whole fail under it; fp16 works"
        )
    beams = s.num_beams if trial.engine not in STREAMING else 1
    if s.length_penalty != SETTINGS["length_penalty"].default and beams == 1:
        found["length_penalty_inert"] = "length_penalty acts only where beams are ranked; it changes nothing here"
    if s.top_k == 1 and s.do_sample:
        found["greedy"] = (
            "top_k=1 is greedy: repeats under other seeds are the same utterance, their spread is the machine's"
        )
    limit = (char_limits or {}).get(trial.text.language.split("-")[0])
    if limit is not None and trial.engine != "naive":
        over = len(trial.text.text) >= limit
        if s.enable_text_splitting and not over:
            found["splitting_inert"] = (
                f"enable_text_splitting does nothing: text {trial.text.name!r} is below the model's limit of {limit} characters"
            )
        if over and not s.enable_text_splitting:
            found["text_over_limit"] = (
                f"text {trial.text.name!r} is above the model's limit of {limit} characters and is not split: its audio may be cut or garbled"
            )
    return found


def gathered(trials: Iterable[Trial], *, char_limits: Mapping[str, int] | None = None) -> dict[str, list[str]]:
    """Return cause -> distinct sentences over all trials, for printing once."""
    out: dict[str, list[str]] = {}
    for trial in trials:
        for cause, sentence in caveats(trial, char_limits=char_limits).items():
            if sentence not in out.setdefault(cause, []):
                out[cause].append(sentence)
    return out
