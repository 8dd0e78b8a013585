"""How soon, how fast, how steadily: latency figures from arrival times and sizes of chunks alone.

All times are seconds since the request was made. A player is assumed that plays at the audio's own rate.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from xttsbench.record import NAN, Chunk

FRAME_S = 0.010
HOP_S = 0.001
AUDIBLE_DB = -40.0
Signal = np.ndarray[Any, np.dtype[np.floating[Any]]]


def first_audible(audio: Signal, *, sample_rate: int) -> int:
    """Return the first sample of the first frame that can be heard, -1 if there is none.

    A frame of 10 ms (hop 1 ms, mean removed) is audible if its RMS is above -40 dB full scale: the detector
    of perceived time to first audio in coval-ai/benchmarks, with the threshold stated.

    Parameters
    ----------
    audio
        Samples, shape (n,), within -1..1.
    sample_rate
        Hz.

    Examples
    --------
    >>> tone = np.sin(np.arange(2400) / 5).astype(np.float32)
    >>> first_audible(np.concatenate([np.zeros(2400, np.float32), tone]), sample_rate=24000) // 24
    91
    """
    frame, hop = max(2, round(FRAME_S * sample_rate)), max(1, round(HOP_S * sample_rate))
    if len(audio) < frame:
        return -1
    x = audio.astype(np.float64)
    sums = np.concatenate([[0.0], np.cumsum(x)])
    squares = np.concatenate([[0.0], np.cumsum(x * x)])
    starts = np.arange(0, len(x) - frame + 1, hop)
    mean = (sums[starts + frame] - sums[starts]) / frame
    power = (squares[starts + frame] - squares[starts]) / frame - mean**2
    loud = np.flatnonzero(power > 10 ** (AUDIBLE_DB / 10))
    return int(starts[loud[0]]) if len(loud) else -1


def latency(
    chunks: Sequence[Chunk], *, end_s: float, sample_rate: int, first_audible_sample: int = -1
) -> dict[str, float]:
    """Return every latency figure of one request; NaN where one is undefined.

    Parameters
    ----------
    chunks
        As they arrived; empty ones count for nothing.
    end_s
        When the engine had nothing more to yield.
    sample_rate
        Hz.
    first_audible_sample
        From `first_audible` over the put-together audio; -1 if it is silent.

    Where the times are NaN, as in a replayed trial, every figure is but audio_s, chunks, sentences and the tokens.

    Returns
    -------
    dict
        ttfc_s
            First non-empty chunk: time to first chunk.
        ttfc_unsynced_s
            The same as a stopwatch around the generator would have it, without waiting for the samples.
        ttfa_s
            First audible sample, played the moment its chunk is there and all before it has been played.
        rtf, rtf_steady
            Synthesis time over audio time; steady: without the first chunk and the time to it.
        gap_p50_s, gap_p95_s, gap_max_s
            Times between arrivals; gap_slope_s is their Theil-Sen slope, seconds a chunk.
        stalls, stall_s, deficit_s
            A player that starts with the first chunk: how often and how long it falls silent in all, and the
            longest lag behind an unbroken playback.
        prebuffer_s
            The least head start after the first chunk that plays gapless. Equal to deficit_s by its meaning.
        safe_start_s
            ttfa_s + prebuffer_s: the first audible sample of gapless playback.
        audio_s, synthesis_s, chunks, tokens, sentences
            Sizes.
        first_tokens
            Tokens that were there when the first non-empty chunk was handed over: what ttfc_s had to wait for.
    """
    names = (
        "ttfc_s ttfc_unsynced_s ttfa_s rtf rtf_steady gap_p50_s gap_p95_s gap_max_s gap_slope_s stalls stall_s "
        "deficit_s prebuffer_s safe_start_s audio_s synthesis_s chunks tokens sentences first_tokens"
    )
    out = dict.fromkeys(names.split(), NAN)
    heard = [c for c in chunks if c.samples > 0]
    out["synthesis_s"] = end_s
    out["chunks"] = float(len(heard))
    if not heard:
        return out
    arrival = np.array([c.arrival_s for c in heard])
    samples = np.array([c.samples for c in heard])
    length = samples / sample_rate
    starts = np.concatenate([[0.0], np.cumsum(length)])
    audio_s = float(starts[-1])
    out["audio_s"] = audio_s
    out["tokens"] = float(heard[-1].tokens) if heard[-1].tokens >= 0 else NAN
    out["first_tokens"] = float(heard[0].tokens) if heard[0].tokens >= 0 else NAN
    out["sentences"] = float(len({c.sentence for c in heard}))
    if np.isnan(arrival).any():
        return out
    out["ttfc_s"], out["ttfc_unsynced_s"] = float(arrival[0]), heard[0].yielded_s
    out["rtf"] = end_s / audio_s
    if len(heard) > 1:
        out["rtf_steady"] = (end_s - arrival[0]) / (audio_s - length[0])
        gaps = np.diff(arrival)
        out["gap_p50_s"], out["gap_p95_s"] = (float(q) for q in np.percentile(gaps, (50, 95)))
        out["gap_max_s"] = float(gaps.max())
        if len(gaps) > 1:
            out["gap_slope_s"] = slope(gaps)
    played, stalls = playback(arrival, length)
    out["stalls"] = float((stalls > 0).sum())
    out["stall_s"] = float(stalls.sum())
    out["deficit_s"] = float(max(0.0, (arrival - arrival[0] - starts[:-1]).max()))
    out["prebuffer_s"] = out["deficit_s"]
    if first_audible_sample >= 0:
        edges = np.concatenate([[0], np.cumsum(samples)])
        k = int(np.searchsorted(edges, first_audible_sample, side="right")) - 1
        out["ttfa_s"] = float(played[k]) + (first_audible_sample - int(edges[k])) / sample_rate
        gapless = arrival[0] + out["prebuffer_s"] + first_audible_sample / sample_rate
        out["safe_start_s"] = float(gapless)
    return out


def slope(values: Signal) -> float:
    """Return the Theil-Sen slope of values over their index: the median over all pairs (Sen 1968); NaN for under two.

    Examples
    --------
    >>> slope(np.array([1.0, 3.0, 5.0, 100.0]))
    17.5
    """
    if len(values) < 2:
        return NAN
    i, j = np.triu_indices(len(values), 1)
    return float(np.median((values[j] - values[i]) / (j - i)))


def playback(arrival: Signal, length: Signal) -> tuple[Signal, Signal]:
    """Return when each chunk begins to sound in a player that starts with the first, and its wait before each, seconds.

    `arrival` and `length` are seconds, one a chunk, none of them empty or NaN.

    Examples
    --------
    >>> playback(np.array([1.0, 4.0]), np.array([2.0, 2.0]))
    (array([1., 4.]), array([0., 1.]))
    """
    played = np.empty_like(arrival)
    waits = np.zeros_like(arrival)
    free = arrival[0]
    for k, (there, seconds) in enumerate(zip(arrival, length, strict=True)):
        played[k] = max(free, there)
        waits[k] = played[k] - free
        free = played[k] + seconds
    return played, waits


def chars_per_s(text: str, audio_s: float) -> float:
    """Return the speaking rate in characters a second; NaN for no audio."""
    return len(text) / audio_s if audio_s and math.isfinite(audio_s) else NAN
