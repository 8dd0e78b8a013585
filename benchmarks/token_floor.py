"""How far seamless's time a token is from its floor: the bytes that a step must read, over what the memory can deliver.

Run: python benchmarks/token_floor.py [--model random --device cuda --precision fp32 bf16 --profile]. A step for one
caller reads every weight of the GPT once and the cache so far, and computes next to nothing with it: no engine that
speaks for one caller alone can be faster than that reading. Weights that fit into a cache of the processor may beat
this floor, which is why the largest cache is printed beside it. Timed are the token loop's steps alone, with all that
the host does between them, without prefill and vocoder; the stop token is suppressed.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import psutil
import torch
from seamless import SENTENCE, lasting

from xttsbench import machine, runner
from xttsbench.engines.decode import BLOCK, State, TokenLoop
from xttsbench.engines.gpt import Weights, prefix_of
from xttsbench.engines.seamless import Seamless, numerics
from xttsbench.engines.session import Session
from xttsbench.settings import PRECISIONS, Settings
from xttsbench.spec import EngineConfig, Text, Trial

KERNELS = 15


def step_bytes(weights: Weights, positions: float) -> float:
    """Return the bytes that one step reads: all weights, one row of each embedding, keys and values of `positions`.

    What it writes (one position of the cache, latent and logits) is left out: thousands of times less.
    """
    rows = weights.tokens[0], weights.positions[0]
    a_position = 2 * len(weights.blocks) * weights.width * weights.tokens.element_size()
    return weights.bytes_per_token + sum(r.numel() * r.element_size() for r in rows) + a_position * positions


def mean_positions(prefix: int, tokens: int, *, block: int = 1) -> float:
    """Return how many cache positions a step reads on average after a prefix, the first of `tokens` being no step.

    Examples
    --------
    >>> mean_positions(10, 4), mean_positions(255, 4, block=256)
    (12.0, 426.66...)
    """
    read = [-(-(prefix + i) // block) * block for i in range(1, tokens)]
    return sum(read) / len(read)


def busy_share(spans: Sequence[tuple[float, float]]) -> float:
    """Return the share of the time from the first start to the last end in which any of the (start, end) spans runs.

    Examples
    --------
    >>> busy_share([(0.0, 2.0), (1.0, 3.0), (5.0, 10.0)])
    0.8
    """
    ordered = sorted(spans)
    first = reached = ordered[0][0]
    busy = 0.0
    for start, end in ordered:
        busy += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return busy / (reached - first)


def copy_bandwidth(device: torch.device, *, mebibytes: int, times: int) -> float:
    """Return bytes a second of a copy within the device, reading and writing counted, the best of `times`."""
    source = torch.ones(mebibytes * 2**18, device=device)
    target = torch.empty_like(source)
    moved = 2 * source.numel() * source.element_size()
    target.copy_(source)
    return moved / min(_seconds(device, lambda: target.copy_(source)) for _ in range(times))


def _seconds(device: torch.device, work: Callable[[], Any]) -> float:
    """Return the seconds that `work` takes on the device, by CUDA events where it has them."""
    if device.type != "cuda":
        begun = time.perf_counter()
        work()
        return time.perf_counter() - begun
    torch.cuda.synchronize(device)
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
    start.record()
    work()
    end.record()
    end.synchronize()
    return float(start.elapsed_time(end)) / 1000


@torch.inference_mode()
def prefix(session: Session) -> torch.Tensor:
    """Return the embedded prefix (p, width) of the sentence in the default voice."""
    trial = Trial(engine="seamless", config=session.config, settings=Settings(), text=Text("one", "en", SENTENCE))
    xtts = session.loaded.xtts
    ids = torch.tensor([xtts.tokenizer.encode(SENTENCE, lang="en")], dtype=torch.int32, device=xtts.device)
    return prefix_of(xtts.gpt, session.voice(trial).gpt_cond_latent.to(xtts.device), ids)


def generate(engine: Seamless, x: torch.Tensor, *, tokens: int) -> float:
    """Return the mean seconds a step of one generation: from its first token, seen on the host, to its last one."""
    loop, stamps = engine._loop, []
    with numerics(x.device, tf32=engine.precision == "tf32"):
        for _ in loop.run(x, Settings(), limit=tokens, sizes=iter([1, tokens - 1])):
            # a chunk is handed over when the host has seen its last token, so nothing is left to wait for
            stamps.append(time.perf_counter())
    first, last = stamps
    return (last - first) / (tokens - 1)


@torch.inference_mode()
def replays(loop: TokenLoop, length: int, *, most: int) -> tuple[Callable[[], None], int]:
    """Return what replays the captured step again and again as nothing but the GPU's work, and how many steps that is."""
    state: State = loop._idle[-1]
    span = next(s for s, greedy in sorted(state.graphs) if not greedy and s > length)
    steps = min(most, span - length, state.limit - 1)

    @torch.inference_mode()
    def work() -> None:
        # back to the first token: a replay writes at the next index, which must stay within the buffers
        state.index.zero_()
        state.length.fill_(length)
        for _ in range(steps):
            state.graphs[span, False].replay()

    work()
    return work, steps


def profile(engine: Seamless, x: torch.Tensor, *, tokens: int, measured_s: float) -> None:
    """Print where a step's time goes: what the GPU alone takes, how long it idles, and the largest kernels."""
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as profiling

    if x.device.type != "cuda":
        print("  --profile needs CUDA and its graphs: left out")
        return
    work, steps = replays(engine._loop, x.shape[0], most=tokens - 1)
    alone = min(_seconds(x.device, work) for _ in range(5)) / steps
    print(
        f"  replays back to back, best of 5 times {steps}: {alone * 1000:.3f} ms a step on the GPU alone, at the shortest span of cache; "
        f"between the steps of a generation it idles {1 - alone / measured_s:.1%} of the time"
    )
    for what, call in (("replays", work), ("a generation", lambda: generate(engine, x, tokens=tokens))):
        with profiling(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as trace:
            call()
            torch.cuda.synchronize(x.device)
        on_gpu = [(e.time_range.start, e.time_range.end) for e in trace.events() or [] if e.device_type.name == "CUDA"]
        idle = f"{1 - busy_share(on_gpu):.1%}" if on_gpu else "unknown"
        print(f"  {what} under the profiler, which widens gaps: {len(on_gpu)} kernels and copies, GPU idle {idle}")
        if call is work:
            columns = dict(row_limit=KERNELS, max_name_column_width=60)
            print(trace.key_averages().table(sort_by="self_device_time_total", **columns))


def largest_cache(device: torch.device) -> str:
    """Return the size of a GPU's L2 cache in words; a CPU does not tell."""
    size = getattr(torch.cuda.get_device_properties(device), "L2_cache_size", 0) if device.type == "cuda" else 0
    return f"{size / 1e6:.0f} MB" if size else "of unknown size"


def main() -> None:
    """Print bytes, bandwidth, floor, measured time a token and their ratio, for each precision."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--model", default="nano", help="nano, random, or a checkpoint folder")
    options.add_argument("--device", default="cpu")
    options.add_argument("--precision", nargs="+", default=["fp32"], choices=PRECISIONS)
    options.add_argument("--tokens", type=int, default=200, help="in one generation")
    options.add_argument("--rounds", type=int, default=9, help="generations of each precision, in turns")
    options.add_argument("--threads", type=int, default=0)
    options.add_argument("--copy-mib", type=int, default=0, help="of the copy (default 1024 on CUDA, 256 on a CPU)")
    options.add_argument("--profile", action="store_true", help="on CUDA: largest kernels, and how long the GPU idles")
    args = options.parse_args()
    session = runner.open_session(EngineConfig(model=args.model, device=args.device, threads=args.threads))
    most = session.loaded.xtts.gpt.max_gen_mel_tokens
    if not 2 < args.tokens <= most:
        raise SystemExit(f"--tokens is {args.tokens}; this model takes 3 to {most}.")
    here, device = machine.fingerprint(), session.device
    print(
        f"{args.model} on {here['gpu'] if device.type == 'cuda' else here['cpu']}, torch {torch.__version__}, "
        f"{torch.get_num_threads()} threads, load {psutil.getloadavg()[0]:.1f}: n={args.rounds} generations of {args.tokens} tokens"
    )
    mebibytes = args.copy_mib or (1024 if device.type == "cuda" else 256)
    bandwidth = copy_bandwidth(device, mebibytes=mebibytes, times=10)
    print(
        f"copy of {mebibytes} MiB: {bandwidth / 1e9:.1f} GB/s read and written, best of 10; "
        f"largest cache {largest_cache(device)}"
    )
    # the copies that bf16 and fp16 keep are taken inside, or theirs would know the stop token
    with lasting(session, args.tokens):
        engines = {p: Seamless(session.loaded.xtts, precision=p) for p in dict.fromkeys(args.precision)}
        x = prefix(session)
        took: dict[str, list[float]] = {p: [] for p in engines}
        for engine in engines.values():
            generate(engine, x, tokens=args.tokens)
        for _ in range(args.rounds):
            for name, engine in engines.items():
                took[name].append(generate(engine, x, tokens=args.tokens))
        for name, engine in engines.items():
            loop = engine._loop
            positions = mean_positions(x.shape[0], args.tokens, block=BLOCK if loop.static and not loop.fused else 1)
            read = step_bytes(loop.weights, positions)
            floor, middle, least = read / bandwidth, float(np.median(took[name])), min(took[name])
            print(
                f"{name}: {read / 1e6:.1f} MB a token (weights {loop.weights.bytes_per_token / 1e6:.1f}, cache of {positions:.0f} "
                f"positions), floor {floor * 1000:.3f} ms; measured median {middle * 1000:.3f} ms, least {least * 1000:.3f}: "
                f"{middle / floor:.2f} and {least / floor:.2f} times the floor"
            )
            if args.profile:
                profile(engine, x, tokens=args.tokens, measured_s=middle)


if __name__ == "__main__":
    main()
