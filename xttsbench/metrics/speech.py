"""What would a listener say? Predicted quality, likeness of voice between pieces, and words understood, by models from the extras `listen` and `similarity`.

Every model ships inside its wheel, so nothing is fetched. They judge whole stretches of speech, not single seams.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from importlib import import_module
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from xttsbench.metrics.regions import Floats, check_audio, regions

MODEL_RATE = 16000
LEAST_PIECE_S = 0.5
EXTRA = {"resemblyzer": "similarity"}
Recogniser = Callable[[Floats, int], str]


def plcmos(audio: ArrayLike, *, sample_rate: int) -> float:
    """Return the predicted opinion (1 to 5) of speech with concealed losses: the kind of fault a bad join is.

    A listener hears 4 and above as whole, below 3 as broken.

    Parameters
    ----------
    audio
        Mono floats within -1..1, shape (n,).
    sample_rate
        Hz; resampled to 16 kHz.

    Returns
    -------
    float
        Mean opinion score; NaN for under 0.5 s.

    Raises
    ------
    ValueError
        If the audio is not what `regions` expects.
    ImportError
        If the extra `listen` is not installed.

    Notes
    -----
    Diener et al., "PLCMOS: a data-driven non-intrusive metric for the evaluation of packet loss concealment algorithms",
    Interspeech 2023. It was trained on telephone calls, not on synthesis: compare, do not quote.
    """
    signal = _at_model_rate(audio, sample_rate)
    if signal is None:
        return float("nan")
    return float(_needs("speechmos.plcmos").run(signal, sr=MODEL_RATE)["plcmos"])


def dnsmos(audio: ArrayLike, *, sample_rate: int) -> dict[str, float]:
    """Return predicted opinions (1 to 5) of the whole, the voice and the background.

    A listener hears `dnsmos_signal` fall with a rough or torn voice, `dnsmos_background` with noise between the words.

    Parameters
    ----------
    audio
        Mono floats within -1..1, shape (n,).
    sample_rate
        Hz; resampled to 16 kHz.

    Returns
    -------
    dict
        `dnsmos_overall`, `dnsmos_signal`, `dnsmos_background` (ITU-T P.835) and `dnsmos_p808`; NaN for under 0.5 s.

    Raises
    ------
    ValueError
        If the audio is not what `regions` expects.
    ImportError
        If the extra `listen` is not installed.

    Notes
    -----
    Reddy, Gopal and Cutler, "DNSMOS P.835", ICASSP 2022.
    """
    names = {
        "dnsmos_overall": "ovrl_mos",
        "dnsmos_signal": "sig_mos",
        "dnsmos_background": "bak_mos",
        "dnsmos_p808": "p808_mos",
    }
    signal = _at_model_rate(audio, sample_rate)
    if signal is None:
        return dict.fromkeys(names, float("nan"))
    found = _needs("speechmos.dnsmos").run(signal, sr=MODEL_RATE)
    return {name: float(found[theirs]) for name, theirs in names.items()}


def voice_similarity(audio: ArrayLike, seams: ArrayLike, *, sample_rate: int, overlap_samples: ArrayLike = 0) -> Floats:
    """Return how alike the voices of the two pieces beside each seam are, as a cosine.

    A listener notices another speaker, or the same one in another mood; one speaker's pieces usually lie above 0.75.

    Parameters
    ----------
    audio
        The put-together audio, mono floats, shape (n,).
    seams
        Sample index of each seam, shape (seams,).
    sample_rate
        Hz; resampled to 16 kHz.
    overlap_samples
        Length of each seam's region, which belongs to neither piece.

    Returns
    -------
    numpy.ndarray
        -1..1, shape (seams,); NaN where a piece is under 0.5 s. Under 1.6 s the figure is unsteady.

    Raises
    ------
    ValueError
        If audio, rate, seams or overlaps are not what `regions` expects.
    ImportError
        If the extra `similarity` is not installed.

    Notes
    -----
    Wan et al., "Generalized end-to-end loss for speaker verification", ICASSP 2018, as resemblyzer ships it.
    """
    r = regions(audio, seams, sample_rate=sample_rate, overlap_samples=overlap_samples)
    starts = np.concatenate([[0], r.end])
    stops = np.concatenate([r.start, [len(r.audio)]])
    encoder = _voice_encoder() if len(r.start) else None
    pieces = [_at_model_rate(r.audio[a:b], sample_rate) for a, b in zip(starts, stops, strict=True)]
    marks = [None if p is None or encoder is None else encoder.embed_utterance(p) for p in pieces]
    return np.array([float("nan") if a is None or b is None else float(a @ b) for a, b in pairwise(marks)])


def word_error_rate(audio: ArrayLike, text: str, *, sample_rate: int, recogniser: Recogniser | None = None) -> float:
    """Return the share of words a recogniser gets wrong: substituted, left out or added, per word of the text.

    A listener misses fewer words than a small recogniser does, so compare settings, do not quote the figure alone.

    Parameters
    ----------
    audio
        Mono floats within -1..1, shape (n,).
    text
        What was to be said.
    sample_rate
        Hz.
    recogniser
        Takes (audio, sample_rate), returns words; pocketsphinx (US English) if None. Any better one fits here.

    Returns
    -------
    float
        0 is perfect, above 1 is possible.

    Raises
    ------
    ValueError
        If the audio is not what `regions` expects or the text has no word.
    ImportError
        If the extra `listen` is not installed.

    Notes
    -----
    Words are compared without case and punctuation, by jiwer (Morris, Maier and Green, Interspeech 2004).

    Examples
    --------
    >>> round(word_error_rate(np.zeros(8000), "One two, three!", sample_rate=16000, recogniser=lambda a, r: "one too three"), 2)
    0.33
    """
    signal = check_audio(audio, sample_rate=sample_rate)
    wanted = _words(text)
    if not wanted:
        raise ValueError(f"text is {text!r}; expected at least one word to compare with.")
    heard = (recogniser or recognise)(signal, sample_rate)
    return float(_needs("jiwer").wer(wanted, _words(heard)))


def recognise(audio: Floats, sample_rate: int) -> str:
    """Return the words pocketsphinx hears, US English; the default recogniser of `word_error_rate`."""
    signal = _at_model_rate(audio, sample_rate)
    if signal is None:
        return ""
    decoder = _needs("pocketsphinx").Decoder(samprate=MODEL_RATE, loglevel="FATAL")
    decoder.start_utt()
    decoder.process_raw((np.clip(signal, -1, 1) * 32767).astype(np.int16).tobytes(), full_utt=True)
    decoder.end_utt()
    found = decoder.hyp()
    return str(found.hypstr) if found else ""


def _needs(module: str) -> Any:
    import warnings

    name = module.split(".")[0]
    try:
        with warnings.catch_warnings():
            # Theirs, about their own dependencies; a test run that turns warnings into errors must not fail on it.
            warnings.simplefilter("ignore", DeprecationWarning)
            warnings.simplefilter("ignore", UserWarning)
            return import_module(module)
    except ImportError as error:
        raise ImportError(
            f"{name} is needed for this metric and is not installed; run pip install 'xttsbench[{EXTRA.get(name, 'listen')}]'."
        ) from error


@lru_cache(maxsize=1)
def _voice_encoder() -> Any:
    return _needs("resemblyzer").VoiceEncoder("cpu", verbose=False)


def _at_model_rate(audio: ArrayLike, sample_rate: int) -> Floats | None:
    from math import gcd

    from scipy.signal import resample_poly

    signal = check_audio(audio, sample_rate=sample_rate)
    if len(signal) < LEAST_PIECE_S * sample_rate:
        return None
    common = gcd(MODEL_RATE, sample_rate)
    return np.asarray(np.clip(resample_poly(signal, MODEL_RATE // common, sample_rate // common), -1.0, 1.0))


def _words(text: str) -> str:
    import re

    return " ".join(re.findall(r"[\w']+", text.lower()))
