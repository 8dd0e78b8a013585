"""Does carrying the end of one sentence into the next keep the voice steadier over the seam than a fresh start?

Run: python benchmarks/carry.py [--model nano] [--seeds 4]. Pairs of neighbouring Harvard sentences are spoken over one set of
weights: the first as always, the second in three ways, all under the same seed. `restart` is what stock and seamless do. `tokens k` puts
the last k audio tokens of the first sentence behind the start token, as if they had been said. `continue` gives the model both
sentences as one text and the whole first sentence as said. Each way is held against `restart`, pair by pair: seam metrics, what
differs between the two sentences as wholes, and, so that steadiness isn't bought with words, the word error rate of the second.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch

from xttsbench.engines.gpt import Weights, prefill, prefix_of, step, weights_of
from xttsbench.engines.sample import Knobs, choose
from xttsbench.engines.session import Session
from xttsbench.engines.window import Vocoder, Window
from xttsbench.metrics.regions import active_rms
from xttsbench.metrics.seams import level_step_db, pause_s, rate_step_octaves, spectrum_step_db
from xttsbench.metrics.speech import word_error_rate
from xttsbench.settings import Settings
from xttsbench.spec import EngineConfig, Text, Trial
from xttsbench.stats import median_interval
from xttsbench.texts import HARVARD

SAMPLE_RATE = 24000
SEAM_METRICS: dict[str, Callable[..., Any]] = {
    f.__name__: f for f in (level_step_db, spectrum_step_db, pause_s, rate_step_octaves)
}


def generate(
    weights: Weights, prefix: torch.Tensor, said: Sequence[int], *, start: int, stop: int, limit: int
) -> tuple[list[int], torch.Tensor]:
    """Return the tokens and latents (n, width) that follow `prefix` and, after its start token, the tokens `said`."""
    ids = torch.tensor(said, dtype=torch.long)
    x = torch.cat([prefix, weights.tokens[ids] + weights.positions[1 : len(said) + 1]])
    cache = x.new_zeros(len(weights.blocks), 2, weights.heads, len(x) + limit, weights.width // weights.heads)
    knobs = Knobs.empty(x.device)
    knobs.set(Settings(), weights.tokens.shape[0])
    seen = torch.zeros(1, weights.tokens.shape[0], dtype=torch.bool)
    seen[0, [1, start, *said]] = True
    codes, latents = [], [prefill(weights, x, cache)]
    while True:
        token = choose(weights.head(latents[-1]).float(), seen, knobs, greedy=False)
        codes.append(int(token))
        seen[0, codes[-1]] = True
        if codes[-1] == stop or len(codes) + len(said) >= limit:
            return codes, torch.cat(latents)
        latents.append(step(weights, token, len(said) + len(codes), len(x) + len(codes) - 1, cache))


def ways(
    first: str, second: str, codes: list[int], carried: Sequence[int], most_chars: int
) -> dict[str, tuple[str, list[int]]]:
    """Return text and tokens said already, by way of speaking the second sentence; `continue` only where both fit in one text."""
    out = {"restart": (second, []), **{f"tokens {k}": (second, codes[-k:]) for k in carried}}
    both = f"{first} {second}"
    return out | ({"continue": (both, codes)} if len(both) <= most_chars else {})


def pitch_hz(audio: np.ndarray[Any, Any]) -> float:
    """Return the median F0 of the voiced frames of a sentence."""
    import librosa

    f0, voiced, _ = librosa.pyin(audio, fmin=60, fmax=500, sr=SAMPLE_RATE, frame_length=1024, hop_length=480)
    return float(np.median(f0[voiced])) if voiced.any() else float("nan")


def figures(before: np.ndarray[Any, Any], after: np.ndarray[Any, Any], text: str) -> dict[str, float]:
    """Return magnitudes of what changes from one sentence to the next, and the word error rate of the second."""
    both, seam = np.concatenate([before, after]), np.array([len(before)])
    out = {name: abs(float(f(both, seam, sample_rate=SAMPLE_RATE)[0])) for name, f in SEAM_METRICS.items()}
    with np.errstate(divide="ignore", invalid="ignore"):
        out["sentence_level_db"] = abs(
            20 * np.log10(active_rms(after, sample_rate=SAMPLE_RATE) / active_rms(before, sample_rate=SAMPLE_RATE))
        )
        out["sentence_pitch_cents"] = abs(1200 * np.log2(pitch_hz(after) / pitch_hz(before)))
    out["audio_s"] = len(after) / SAMPLE_RATE
    out["word_error_rate"] = word_error_rate(after, text, sample_rate=SAMPLE_RATE)
    return out


@torch.inference_mode()
def pairs(
    session: Session, config: EngineConfig, *, seeds: int, carried: Sequence[int], most_chars: int
) -> pd.DataFrame:
    """Return a row a pair of sentences, seed and way."""
    xtts = session.loaded.xtts
    weights, vocoder = weights_of(xtts.gpt), Vocoder(xtts.hifigan_decoder)
    voice = session.voice(Trial(engine="stock", config=config, settings=Settings(), text=Text("x", "en", "x")))
    marks = dict(start=xtts.gpt.start_audio_token, stop=xtts.gpt.stop_audio_token)

    def speak(text: str, said: Sequence[int]) -> tuple[list[int], np.ndarray[Any, Any]]:
        ids = torch.tensor([xtts.tokenizer.encode(text.lower(), lang="en")], dtype=torch.int32)
        prefix = prefix_of(xtts.gpt, voice.gpt_cond_latent, ids)
        codes, latents = generate(weights, prefix, said, limit=xtts.gpt.max_gen_mel_tokens, **marks)
        audio = Window(vocoder, voice.speaker_embedding, speed=1.0).push(latents, final=True)
        return codes, np.asarray(audio.numpy(), dtype=np.float32)

    rows = []
    for seed in range(seeds):
        for number, (first, second) in enumerate(itertools.pairwise(HARVARD)):
            torch.manual_seed(1000 * seed + number)
            codes, before = speak(first, [])
            # the stop token was never part of the voice
            for way, (text, said) in ways(first, second, codes[:-1], carried, most_chars).items():
                torch.manual_seed(1000 * seed + number + 500)
                _, after = speak(text, said)
                rows.append({"seed": seed, "pair": number, "way": way, **figures(before, after, second)})
    return pd.DataFrame(rows)


def report(rows: pd.DataFrame) -> str:
    """Return a table: for each way the median of (way - restart) over pairs, with its interval and the number of pairs."""
    wide = rows.set_index(["seed", "pair", "way"]).unstack("way")
    lines = []
    for metric in [c for c in rows if c not in ("seed", "pair", "way")]:
        base = wide[metric]["restart"]
        cells = [f"restart {base.median():.3g}"]
        for way in [w for w in wide[metric] if w != "restart"]:
            difference = (wide[metric][way] - base).dropna().to_numpy()
            cells.append(
                "{}: {:+.3g} [{:+.3g}, {:+.3g}] n={}".format(way, *median_interval(difference), len(difference))
            )
        lines.append(f"{metric:22} " + "; ".join(cells))
    return "\n".join(lines)


def main() -> None:
    """Print how each way of speaking the second sentence differs from a restart."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--model", default="nano")
    options.add_argument("--accept-cpml", action="store_true")
    options.add_argument("--seeds", type=int, default=4)
    options.add_argument("--carried", type=int, nargs="+", default=[2, 4, 8])
    args = options.parse_args()
    config = EngineConfig(model=args.model)
    session = Session(config, accept_cpml=args.accept_cpml)
    most = session.loaded.xtts.tokenizer.char_limits["en"] * (2 if args.model == "nano" else 1)
    rows = pairs(session, config, seeds=args.seeds, carried=args.carried, most_chars=most)
    print(
        f"{args.model}, {rows['pair'].nunique()} pairs of sentences x {args.seeds} seeds; magnitudes, way - restart, median [95 %]"
    )
    print(report(rows))


if __name__ == "__main__":
    main()
