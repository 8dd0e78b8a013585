"""What a replay costs against running each cell afresh: the same grid both ways, in one run, and whether the audio is the same.

Run: python benchmarks/replay.py [--model random] [--chars 42]. A cell afresh is a request to `stock`, as a sweep makes it.
Each round runs the whole grid both ways, the order of the two changing. A short text keeps it feasible on a CPU; longer
ones favour replay more, because what stock decodes again and again grows with the square of the length.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from xttsbench import machine, runner
from xttsbench.engines.session import Session
from xttsbench.grid import Sweep
from xttsbench.presets import PRESETS
from xttsbench.spec import EngineConfig, Text, Trial
from xttsbench.texts import TEXTS

BOUND = 15


def timed(session: Session, trials: list[Trial]) -> tuple[Any, dict[str, tuple[list[int], Any]]]:
    """Return the (wall, processor) seconds that all trials take, and by cell the sizes of their chunks and their audio."""
    out = {}
    start = np.array([time.perf_counter(), time.process_time()])
    for trial in trials:
        record, audio = runner.execute(session, trial)
        assert record.status == "ok", record.error
        out[trial.cell] = ([c.samples for c in record.chunks], audio)
    return np.array([time.perf_counter(), time.process_time()]) - start, out


def snr_db(got: Any, true: Any) -> float:
    """Return how far `got` lies under `true`, in dB."""
    noise = ((got.astype(float) - true) ** 2).sum()
    return float(10 * np.log10((true.astype(float) ** 2).sum() / max(noise, 1e-30)))


def main() -> None:
    """Print the two times of each round, their ratio, and how near the audio is."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--model", default="nano", help="nano, random, or a checkpoint folder")
    options.add_argument("--device", default="cpu")
    options.add_argument("--threads", type=int, default=0)
    options.add_argument("--chars", type=int, default=42, help="of the shipped English text `long`")
    options.add_argument("--rounds", type=int, default=1)
    args = options.parse_args()
    config = EngineConfig(model=args.model, device=args.device, threads=args.threads)
    long = next(t for t in TEXTS if (t.name, t.language) == ("long", "en"))
    text = Text("cut", "en", long.text[: args.chars])
    grid = PRESETS["seams"].grid
    session = runner.open_session(config)
    here = machine.fingerprint()
    print(
        f"{args.model} on {here['gpu'] if args.device == 'cuda' else here['cpu']}, {torch.get_num_threads()} threads: "
        f"a text of only {len(text.text)} characters, {' x '.join(str(len(v)) for v in grid.values())} cells, n={args.rounds} rounds"
    )
    ratios, nearest = [], []
    for number in range(args.rounds):
        plan = Sweep(
            configs=(config,), engines=("stock",), texts=(text,), grid=grid, repeats=1, seed=number, replay=True
        )
        replays = plan.trials()
        afresh = [
            replace(t, phase="timed") for t in replays if t.settings.stream_chunk_size in grid["stream_chunk_size"]
        ]
        session.voice(afresh[0])
        runner.execute(session, replace(afresh[0], text=replace(text, text="One."), phase="warmup"))
        runner.execute(session, replace(replays[-1], text=replace(text, text="One.")))
        took, heard = {}, {}
        for name, trials in ((("afresh", afresh), ("replay", replays)))[:: 1 if number % 2 else -1]:
            took[name], heard[name] = timed(session, trials)
        for cell, (sizes, audio) in heard["afresh"].items():
            got, replayed = heard["replay"][cell]
            assert got == sizes, (got, sizes)
            nearest.append(snr_db(replayed, audio))
        ratios.append(took["afresh"] / took["replay"])
        spoken = len(heard["replay"][replays[-1].cell][1]) / runner.SAMPLE_RATE
        print(f"  round {number}: {spoken:.1f} s of speech in each cell", flush=True)
        for k, clock in enumerate(("wall", "processor")):
            print(
                f"    {clock}: {len(afresh)} cells afresh {took['afresh'][k]:.1f} s, replayed (and once whole) {took['replay'][k]:.1f} s: "
                f"{ratios[-1][k]:.1f} times cheaper",
                flush=True,
            )
    wall, processor = np.median(ratios, axis=0)
    print(
        f"replay costs 1/{wall:.1f} of running each cell afresh, 1/{processor:.1f} in processor time (medians), bound 1/{BOUND} on random; "
        f"chunks of equal size in all cells, SNR against the fresh run at least {min(nearest):.0f} dB"
    )


if __name__ == "__main__":
    main()
