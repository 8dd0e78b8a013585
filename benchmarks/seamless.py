"""How much sooner and cheaper seamless streaming is than stock streaming: both engines in one run, on one clock.

Run: python benchmarks/seamless.py [--model random] [--device cuda]. Length is forced: the stop token is suppressed
and a generation ends after the tokens of --seconds, so that both engines speak exactly as long. Requests of the
engines alternate; each ratio is the median over such rounds with its interval, above 1 where seamless is better.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from xttsbench import clock, runner
from xttsbench.engines.session import Session
from xttsbench.engines.window import Vocoder, Window
from xttsbench.metrics.latency import latency, slope
from xttsbench.models.full_shape import NEVER
from xttsbench.settings import SAMPLES_PER_TOKEN, TOKEN_S, Settings
from xttsbench.spec import EngineConfig, Text, Trial
from xttsbench.stats import median_interval

SENTENCE = "the birch canoe slid on the smooth planks of the old pier."
SAMPLE_RATE = 24000
GROWING = dict(first_chunk_size=6, chunk_growth=1.5)
LONG_S, PARTS = 60, 4


@contextmanager
def lasting(session: Session, tokens: int) -> Iterator[None]:
    """Make every generation last exactly `tokens` audio tokens."""
    gpt, tokenizer = session.loaded.xtts.gpt, type(session.loaded.xtts.tokenizer)
    bias, limit = gpt.mel_head.bias.detach(), gpt.max_gen_mel_tokens
    held, encode = float(bias[gpt.stop_audio_token]), tokenizer.encode

    def forced(self: Any, txt: str, lang: str) -> Any:
        ids = encode(self, txt, lang)
        # after encoding: the tokenizer of the random weights sets its own
        gpt.max_gen_mel_tokens = tokens
        return ids

    bias[gpt.stop_audio_token] = NEVER
    tokenizer.encode = forced
    try:
        yield
    finally:
        tokenizer.encode = encode
        bias[gpt.stop_audio_token] = held
        gpt.max_gen_mel_tokens = limit


def measured(session: Session, trial: Trial) -> dict[str, float]:
    """Return the latency figures of one request, its samples, and the processor time of all its threads."""
    session.seed(trial.seed)
    busy = time.process_time()
    got = clock.listen(lambda: session.stream(trial))
    busy = time.process_time() - busy
    figures = latency(got.chunks, end_s=got.end_s, sample_rate=SAMPLE_RATE)
    return {**figures, "total_s": got.end_s, "cpu_s": busy, "samples": float(len(got.audio))}


def compare(session: Session, config: EngineConfig, *, tokens: int, rounds: int) -> dict[str, list[dict[str, float]]]:
    """Return figures by engine and schedule, `rounds` each, the order reversed every other round."""
    one = Text("one", "en", SENTENCE)
    trials = {
        name: Trial(engine=engine, config=config, settings=Settings(stream_chunk_size=20, **more), text=one)
        for name, engine, more in (
            ("stock", "stock", {}),
            ("seamless", "seamless", {}),
            ("growing", "seamless", GROWING),
        )
    }
    out: dict[str, list[dict[str, float]]] = {name: [] for name in trials}
    with lasting(session, tokens):
        for trial in trials.values():
            measured(session, trial)
        for k in range(rounds):
            for name in list(trials)[:: 1 if k % 2 else -1]:
                out[name].append(measured(session, trials[name]))
    return out


def ratio(better: list[dict[str, float]], worse: list[dict[str, float]], key: str) -> str:
    """Return worse / better as 'median [low, high]'."""
    pairs = np.array([w[key] / b[key] for b, w in zip(better, worse, strict=True)])
    return "{:.2f} [{:.2f}, {:.2f}]".format(*median_interval(pairs))


def least(better: list[dict[str, float]], worse: list[dict[str, float]], key: str) -> str:
    """Return worse / better of the least values: what a busy machine disturbs least."""
    return f"{min(r[key] for r in worse) / min(r[key] for r in better):.2f}"


def growth_with_length(session: Session, config: EngineConfig, *, tokens: int, rounds: int) -> str:
    """Return how many times more 60 s of speech cost than 10 s: four generations against one."""
    longest = round(LONG_S / PARTS / TOKEN_S)
    text = Text("four", "en", " ".join([SENTENCE] * PARTS))
    short = Trial(engine="seamless", config=config, settings=Settings(), text=Text("one", "en", SENTENCE))
    split = Settings(enable_text_splitting=True)
    long = Trial(engine="seamless", config=config, settings=split, text=text)
    limits = session.loaded.xtts.tokenizer.char_limits
    held, limits["en"] = limits["en"], len(SENTENCE) + 1
    ratios = []
    try:
        with lasting(session, longest):
            measured(session, long)  # the first text that is split loads what splits it
        for _ in range(rounds):
            with lasting(session, tokens):
                ten = measured(session, short)
            with lasting(session, longest):
                sixty = measured(session, long)
            ratios.append(sixty["total_s"] / ten["total_s"])
            spoken = sixty["samples"] / ten["samples"]
    finally:
        limits["en"] = held
    low, middle, high = np.percentile(ratios, [0, 50, 100])
    return f"{middle:.2f} (from {low:.2f} to {high:.2f}) times the time for {spoken:.2f} times the speech"


def vocoder_by_chunk(session: Session, *, chunks: int, rounds: int, size: int = 20) -> tuple[float, float]:
    """Return (slope over the chunk index, mean) of the vocoder's seconds a chunk, each chunk's least of `rounds`."""
    xtts = session.loaded.xtts
    vocoder = Vocoder(xtts.hifigan_decoder)
    latents = torch.randn(chunks * size, xtts.gpt.model_dim, device=xtts.device)
    speaker = torch.randn(1, xtts.args.d_vector_dim, 1, device=xtts.device)
    took = np.zeros((rounds, chunks))
    with torch.inference_mode():
        for row in took:
            window = Window(vocoder, speaker)
            for k in range(chunks):
                start = time.perf_counter()
                clock.to_host(window.push(latents[k * size : (k + 1) * size], final=k == chunks - 1))
                row[k] = time.perf_counter() - start
    # the first chunk lacks left context, the last has none held back: both are other work
    least = took.min(axis=0)[1:-1]
    return slope(least), float(least.mean())


def exactness(session: Session, config: EngineConfig, *, tokens: int) -> dict[str, float]:
    """Return SNR in dB of each engine's audio against one decode of the same latents."""
    from xttsbench.engines.taps import Taps

    trial = Trial(engine="stock", config=config, settings=Settings(), text=Text("one", "en", SENTENCE))
    with lasting(session, tokens), torch.inference_mode():
        taps = Taps(session.loaded.xtts, capture=True)
        session.seed(0)
        heard = {"stock": clock.listen(lambda: session.stream(trial, taps=taps)).audio}
        latents = torch.cat(taps.captured[0][1])[None]
        speaker = session.voice(trial).speaker_embedding.to(latents.device)
        true = clock.to_host(session.loaded.xtts.hifigan_decoder(latents, g=speaker))
        session.seed(0)
        ours = Trial(engine="seamless", config=config, settings=Settings(), text=trial.text)
        heard["seamless"] = clock.listen(lambda: session.stream(ours)).audio
    power = float((true.astype(float) ** 2).sum())
    return {k: float(10 * np.log10(power / ((v.astype(float) - true) ** 2).sum())) for k, v in heard.items()}


def main() -> None:
    """Print the lengths, the ratios and the slopes."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--model", default="nano", help="nano, random, or a checkpoint folder")
    options.add_argument("--device", default="cpu")
    options.add_argument("--precision", default="fp32")
    options.add_argument("--threads", type=int, default=0)
    options.add_argument("--seconds", type=float, default=10.0, help="of speech in one generation")
    options.add_argument("--rounds", type=int, default=7)
    options.add_argument("--chunks", type=int, default=60, help="in the test of the vocoder alone")
    options.add_argument("--skip-long", action="store_true", help="leave out the 60 s of speech")
    args = options.parse_args()
    config = EngineConfig(model=args.model, device=args.device, precision=args.precision, threads=args.threads)
    session = runner.open_session(config)
    tokens = round(args.seconds / TOKEN_S)
    print(
        f"{args.model} on {args.device}, {args.precision}, {torch.get_num_threads()} threads: one generation of {tokens} tokens "
        f"({tokens * SAMPLES_PER_TOKEN / SAMPLE_RATE:.1f} s), stop token suppressed, chunk 20, n={args.rounds} rounds"
    )
    got = compare(session, config, tokens=tokens, rounds=args.rounds)
    for name, rows in got.items():
        middle = {
            k: float(np.median([r[k] for r in rows]))
            for k in ("ttfc_s", "total_s", "cpu_s", "rtf", "stalls", "prebuffer_s")
        }
        print(f"  {name:9}", "  ".join(f"{k} {v:.4g}" for k, v in middle.items()))
    assert len({r["samples"] for rows in got.values() for r in rows}) == 1
    stock = got["stock"]
    print(
        f"total, chunk 20: {ratio(got['seamless'], stock, 'total_s')} times shorter; "
        f"least {least(got['seamless'], stock, 'total_s')}; processor time {ratio(got['seamless'], stock, 'cpu_s')}"
    )
    print(
        f"ttfc, chunk 20: {ratio(got['seamless'], stock, 'ttfc_s')} times sooner; "
        f"least {least(got['seamless'], stock, 'ttfc_s')}"
    )
    gapless = sum(r["stalls"] == 0 for r in got["growing"])
    print(
        f"ttfc, growing from {GROWING['first_chunk_size']} by {GROWING['chunk_growth']}: {ratio(got['growing'], stock, 'ttfc_s')} times "
        f"sooner; total {ratio(got['growing'], stock, 'total_s')} times shorter; gapless in {gapless} of {args.rounds}"
    )
    print("SNR against one decode, dB:", {k: round(v, 1) for k, v in exactness(session, config, tokens=tokens).items()})
    steep, mean = vocoder_by_chunk(session, chunks=args.chunks, rounds=args.rounds)
    print(f"vocoder: {mean * 1000:.2f} ms a chunk, slope {steep / mean:+.3%} of that a chunk over {args.chunks} chunks")
    if not args.skip_long:
        print("60 s of speech:", growth_with_length(session, config, tokens=tokens, rounds=args.rounds))


if __name__ == "__main__":
    main()
