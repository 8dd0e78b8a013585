"""How many callers one device serves at once without gaps: stock and seamless, both in one run, on one clock.

Run: python benchmarks/streams.py [--model random --device cuda --most 32 --copies 4]. Neither engine batches, so callers share
the device. All N ask at one moment, each for its own text, and speak equally long (the stop token is suppressed); each
chunk is stamped in host memory. A caller is gapless if a player that starts with the first chunk never falls silent.

How callers are served is what people do with the library. `Xtts` keeps the prefix of its last request in one attribute
(`gpt_inference.cached_prefix_emb`), from whose length every step of every stream reckons its position: two streams on
one copy spoil each other, and the output says by how much. So stock has a process, with a copy of the model, for each
caller. seamless is run the same way, and also as one copy in one process with a thread for each caller. torch has one
random generator a process: callers have seeds of their own where they have processes of their own. On CUDA processes
take turns on the GPU (unless its multi-process service runs), and the token loops of threads queue on one stream, their vocoders on another.

A queue would make every caller gapless, and late: therefore the time to the first chunk stands beside each share.
Callers of one round share the state of the machine, so the Wilson interval, which takes them as independent, is
rather too narrow. For an interval wholly above 95 % it takes 73 callers, all of them gapless.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import psutil
import torch
from callers import Copy, Figures, answer, in_turns_db, prepare
from scipy.stats import binomtest

from xttsbench import machine
from xttsbench.settings import TOKEN_S, Settings
from xttsbench.spec import EngineConfig, Text, Trial
from xttsbench.texts import HARVARD

ENOUGH = 0.95


class Way(NamedTuple):
    """An engine, and whether all callers share one copy of the model or have a process each."""

    engine: str
    shared: bool

    def __str__(self) -> str:
        return f"{self.engine}, {'one process, a thread each' if self.shared else 'a process each'}"


class Count(NamedTuple):
    """Of so many callers: gapless from the first chunk, and with the head start."""

    at_once: int
    patient: int
    callers: int


WAYS = (Way("stock", False), Way("seamless", False), Way("seamless", True))


def share(gapless: int, callers: int) -> str:
    """Return a share in words with its Wilson interval.

    Examples
    --------
    >>> share(38, 40)
    '38/40 (95 %, 83 to 99)'
    """
    found = binomtest(gapless, callers).proportion_ci(method="wilson")
    return f"{gapless}/{callers} ({100 * gapless / callers:.0f} %, {100 * found.low:.0f} to {100 * found.high:.0f})"


def most_at_once(shares: Mapping[int, tuple[int, int]], *, enough: float = ENOUGH) -> int:
    """Return the largest N at which, and at all smaller ones tried, enough callers are gapless; 0 if there is none.

    Examples
    --------
    >>> most_at_once({1: (20, 20), 2: (39, 40), 3: (50, 60), 4: (80, 80)})
    2
    """
    best = 0
    for n in sorted(shares):
        gapless, callers = shares[n]
        if gapless < enough * callers:
            break
        best = n
    return best


def given_up(shares: Mapping[int, tuple[int, int]], *, enough: float = ENOUGH) -> bool:
    """Return whether the last two N tried both had too few gapless callers."""
    last = [shares[n] for n in sorted(shares)[-2:]]
    return len(last) == 2 and all(gapless < enough * callers for gapless, callers in last)


def gapless(figures: Figures, *, prebuffer_s: float = 0.0) -> bool:
    """Return whether a caller heard no gap, starting so long after the first chunk; a failed one heard nothing."""
    if isinstance(figures, str):
        return False
    return figures["prebuffer_s"] <= prebuffer_s if prebuffer_s else figures["stalls"] == 0


def numbers(copies: int, most: int) -> list[int]:
    """Return the numbers of callers to try: each up to `copies`, then each half as large again, to `most`.

    Examples
    --------
    >>> numbers(3, 20)
    [1, 2, 3, 5, 8, 12, 18, 20]
    """
    out = list(range(1, min(copies, most) + 1))
    while out[-1] < most:
        out.append(min(most, math.ceil(out[-1] * 1.5)))
    return out


def requests(config: EngineConfig, engine: str, settings: Settings, *, callers: int, number: int) -> list[Trial]:
    """Return a request for each caller in round `number`: its own text, its own seed."""
    return [
        Trial(
            engine=engine,
            config=config,
            settings=settings,
            text=Text(f"caller-{k}", "en", HARVARD[k % len(HARVARD)]),
            seed=1000 * number + k,
        )
        for k in range(callers)
    ]


def one_round(copies: Sequence[Copy], way: Way, asked: list[Trial], *, first: bool) -> list[Figures]:
    """Return the figures of all callers of one round, served in this way."""
    if way.shared:
        if first:
            copies[0].order(prepare, asked)
            copies[0].take()
        copies[0].order(answer, asked)
        return list(copies[0].take())
    used = copies[: len(asked)]
    for copy, trial in zip(used, asked, strict=True):
        copy.order(answer, [trial])
    return [figures for copy in used for figures in copy.take()]


def line(way: Way, heard: list[Figures], count: Count, *, prebuffer_s: float) -> str:
    """Return what N callers heard, in words."""
    fine = [f for f in heard if not isinstance(f, str)]
    late = np.array([f["ttfc_s"] for f in fine] or [np.nan])
    rtf = np.median([f["rtf"] for f in fine] or [np.nan])
    failed = sorted({f for f in heard if isinstance(f, str)})
    return (
        f"  {way!s:37} gapless {share(count.at_once, count.callers)}, after {prebuffer_s:g} s {share(count.patient, count.callers)}; "
        f"ttfc median {np.median(late):.3f} s, worst {late.max():.3f}; rtf of a caller {rtf:.2f}"
        + (f"; FAILED {len(heard) - len(fine)}: {'; '.join(failed)}" if failed else "")
    )


def measure(
    copies: list[Copy], config: EngineConfig, settings: Settings, args: argparse.Namespace
) -> dict[Way, dict[int, Count]]:
    """Return the counts by way and N, printing each; `copies` grows with N. A way ends when it has failed twice running."""
    counts: dict[Way, dict[int, Count]] = {way: {} for way in WAYS}
    given: set[Way] = set()
    for n in numbers(args.copies, args.most):
        going = [way for way in WAYS if way not in given and (way.shared or n <= args.copies)]
        if not going:
            break
        heard: dict[Way, list[Figures]] = {way: [] for way in going}
        try:
            if n > len(copies) and not all(way.shared for way in going):
                copies.append(Copy(config, round(args.seconds / TOKEN_S)))
                copies[-1].take()
            for number in range(args.rounds + 1):
                for way in going[:: 1 if number % 2 else -1]:
                    asked = requests(config, way.engine, settings, callers=n, number=number)
                    got = one_round(copies, way, asked, first=number == 0)
                    heard[way] += got if number else []
        except RuntimeError as error:
            print(f"N={n}: {error}; nothing is measured from here on", flush=True)
            break
        print(f"N={n}", flush=True)
        for way in going:
            fine = [sum(gapless(f, prebuffer_s=p) for f in heard[way]) for p in (0.0, args.prebuffer)]
            counts[way][n] = Count(fine[0], fine[1], len(heard[way]))
            print(line(way, heard[way], counts[way][n], prebuffer_s=args.prebuffer), flush=True)
            if all(given_up({k: (c[i], c.callers) for k, c in counts[way].items()}) for i in (0, 1)):
                given.add(way)
    return counts


def main() -> None:
    """Print the shares for each N, and the largest N for each way of serving."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--model", default="nano", help="nano, random, or a checkpoint folder")
    options.add_argument("--device", default="cpu")
    options.add_argument("--precision", default="fp32")
    options.add_argument("--threads", type=int, default=1, help="of torch on the CPU, in each process")
    options.add_argument("--seconds", type=float, default=6.0, help="of speech for each caller")
    options.add_argument("--chunk", type=int, default=20, help="stream_chunk_size, for both engines")
    options.add_argument("--first", type=int, default=0, help="first_chunk_size, seamless only (0: as --chunk)")
    options.add_argument("--growth", type=float, default=1.0, help="chunk_growth, seamless only")
    options.add_argument("--prebuffer", type=float, default=0.2, metavar="S", help="the head start of a patient player")
    options.add_argument("--most", type=int, default=8, metavar="N", help="callers at once")
    options.add_argument(
        "--copies", type=int, default=0, help="processes with a copy each (default: as many as callers)"
    )
    options.add_argument("--rounds", type=int, default=10, help="for each N, after one that does not count")
    args = options.parse_args()
    config = EngineConfig(model=args.model, device=args.device, precision=args.precision, threads=args.threads)
    settings = Settings(stream_chunk_size=args.chunk, first_chunk_size=args.first, chunk_growth=args.growth)
    tokens, here = round(args.seconds / TOKEN_S), machine.fingerprint()
    print(
        f"{args.model} on {here['gpu'] if args.device == 'cuda' else here['cpu']}, {args.precision}, torch {torch.__version__}, "
        f"{psutil.cpu_count()} processors, {args.threads} torch threads a process, load {psutil.getloadavg()[0]:.1f}: {tokens} tokens "
        f"a caller, chunk {args.chunk}, seamless first {args.first or args.chunk} growing by {args.growth:g}, n = N x {args.rounds}"
    )
    args.copies = args.copies or args.most
    copies = [Copy(config, tokens)]
    try:
        copies[0].take()
        for engine in ("stock", "seamless"):
            copies[0].order(in_turns_db, engine)
            print(f"a second caller on one copy of {engine}: SNR of the first is {copies[0].take():.0f} dB", flush=True)
        counts = measure(copies, config, settings, args)
    finally:
        for copy in copies:
            copy.end()
    for way, by_n in counts.items():
        for i, when in enumerate(("from the first chunk", f"{args.prebuffer:g} s after it")):
            tried = {n: (count[i], count.callers) for n, count in by_n.items()}
            best = most_at_once(tried)
            more = " or more" if best == max(tried, default=0) else ""
            print(f"{way}, playing {when}: {best}{more} at once" + (f", gapless {share(*tried[best])}" if best else ""))


if __name__ == "__main__":
    main()
