"""Do nano's fp16 checkpoint and the int8 file that ships sound alike? Same codes, then free speech, and who hears what.

    python benchmarks/nano_quantisation.py CHECKPOINT_FOLDER [--seeds 3] [--wer]

Teacher-forced: the fp16 model speaks each text, both models are led over those codes, and latents and
audio are compared. Free: both generate under the same seeds, which soon choose different tokens, so only
statistics can be compared: length, and with --wer (extra `listen`) what pocketsphinx hears.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from pathlib import Path

import numpy as np
import scipy.signal
import torch
from TTS.tts.configs.xtts_config import XttsConfig

from xttsbench.models.nano import NanoXtts, load_nano

# Harvard sentences, lists 1 to 3 (IEEE Recommended Practice for Speech Quality Measurements, 1969).
TEXTS = """
The birch canoe slid on the smooth planks.
Glue the sheet to the dark blue background.
It's easy to tell the depth of a well.
These days a chicken leg is a rare dish.
Rice is often served in round bowls.
The juice of lemons makes fine punch.
The box was thrown beside the parked truck.
The hogs were fed chopped corn and garbage.
Four hours of steady work faced us.
A large size in stockings is hard to sell.
The boy was there when the sun rose.
A rod is used to catch pink salmon.
The source of the huge river is the clear spring.
Kick the ball straight and follow through.
Help the woman get back to her feet.
A pot of tea helps to pass the evening.
Smoky fires lack flame and heat.
The soft cushion broke the man's fall.
The salt breeze came across from the sea.
The girl at the booth sold fifty bonds.
""".strip().splitlines()


def load_checkpoint(folder: Path) -> NanoXtts:
    """Return the fp16 checkpoint of `folder`, read by coqui's own loader."""
    config = XttsConfig()
    config.load_json(str(folder / "config.json"))
    model = NanoXtts(config)
    model.load_checkpoint(config, checkpoint_dir=folder, eval=True)
    for voice in model.speaker_manager.speakers.values():
        if "gpt_cond_latents" in voice:
            voice["gpt_cond_latent"] = voice.pop("gpt_cond_latents")
    return model


def voice_of(model: NanoXtts) -> tuple[torch.Tensor, torch.Tensor]:
    """Return both latents of the studio voice."""
    voice = model.speaker_manager.speakers["nano"]
    return voice["gpt_cond_latent"], voice["speaker_embedding"]


@torch.inference_mode()
def codes_of(model: NanoXtts, text: str, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return text tokens and the audio codes that `model` chooses for them."""
    tokens = torch.IntTensor(model.tokenizer.encode(text.lower(), lang="en"))[None]
    torch.manual_seed(seed)
    codes = model.gpt.generate(
        cond_latents=voice_of(model)[0],
        text_inputs=tokens,
        do_sample=True,
        top_p=0.85,
        top_k=50,
        temperature=0.75,
        repetition_penalty=10.0,
        num_return_sequences=1,
    )
    return tokens, codes


@torch.inference_mode()
def led_over(model: NanoXtts, tokens: torch.Tensor, codes: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Return latents and audio of `model` over given codes, as `Xtts.inference` makes them."""
    latent, embedding = voice_of(model)
    latents = model.gpt(
        tokens,
        torch.tensor([tokens.shape[-1]]),
        codes,
        torch.tensor([codes.shape[-1] * model.gpt.code_stride_len]),
        cond_latents=latent,
        return_latent=True,
    )
    return latents.numpy(), model.hifigan_decoder(latents, g=embedding).squeeze().numpy()


def snr_db(signal: np.ndarray, other: np.ndarray) -> float:
    """Return the power of `signal` over that of the difference, in dB."""
    return float(10 * np.log10(np.sum(signal**2) / np.sum((signal - other) ** 2)))


def log_spectral_distance_db(signal: np.ndarray, other: np.ndarray, *, sample_rate: int) -> float:
    """Return the mean over frames of the RMS difference of log spectra, in dB.

    Frames of 1024 samples with a hop of 256; spectra are floored 60 dB below the signal's largest bin,
    so that rounding in silence does not count.
    """
    spectra = [np.abs(scipy.signal.stft(x, sample_rate, nperseg=1024, noverlap=768)[2]) for x in (signal, other)]
    floor = spectra[0].max() * 1e-3
    levels = [20 * np.log10(np.maximum(s, floor)) for s in spectra]
    return float(np.mean(np.sqrt(np.mean((levels[0] - levels[1]) ** 2, axis=0))))


def speech(model: NanoXtts, text: str, seed: int) -> np.ndarray:
    """Return free speech by `Xtts.inference` at its default settings."""
    torch.manual_seed(seed)
    return model.inference(text, "en", *voice_of(model))["wav"]


def listener() -> Callable[[np.ndarray], str]:
    """Return a function from 24 kHz audio to the words that pocketsphinx's en-us model hears."""
    from pocketsphinx import Decoder

    decoder = Decoder(samprate=16000, loglevel="FATAL")

    def hear(audio: np.ndarray) -> str:
        pcm = scipy.signal.resample_poly(audio, 2, 3)
        decoder.start_utt()
        decoder.process_raw((np.clip(pcm, -1, 1) * 32767).astype("<i2").tobytes(), full_utt=True)
        decoder.end_utt()
        found = decoder.hyp()
        return found.hypstr if found else ""

    return hear


def summary(name: str, values: list[float], unit: str) -> str:
    """Return one line: median, extremes and count."""
    middle, low, high = statistics.median(values), min(values), max(values)
    return f"{name:42} median {middle:8.3f} {unit:3} (from {low:.3f} to {high:.3f}, n = {len(values)})"


def bare(text: str) -> str:
    """Return `text` as a recogniser writes it: small letters, no punctuation."""
    return "".join(c for c in text.lower() if c.isalpha() or c in " '")


def error_rates(said: dict[str, list[np.ndarray]], seeds: int) -> str:
    """Return the word error rate of both, and the difference with a bootstrap interval over texts."""
    import jiwer

    hear = listener()
    words = [bare(text) for text in TEXTS for _ in range(seeds)]
    counts = {}
    for who, waves in said.items():
        heard = [hear(wave) for wave in waves]
        out = [jiwer.process_words(w, h or "-") for w, h in zip(words, heard, strict=True)]
        counts[who] = np.array([o.substitutions + o.deletions + o.insertions for o in out]).reshape(-1, seeds).sum(1)
    lengths = np.array([len(bare(text).split()) for text in TEXTS]) * seeds
    rows = np.random.default_rng(0).integers(0, len(TEXTS), (10_000, len(TEXTS)))
    difference = (counts["int8"] - counts["fp16"])[rows].sum(1) / lengths[rows].sum(1)
    low, high = np.quantile(difference, [0.025, 0.975])
    rates = {who: c.sum() / lengths.sum() for who, c in counts.items()}
    return (
        f"word error rate (pocketsphinx en-us): fp16 {rates['fp16']:.3f}, int8 {rates['int8']:.3f}, "
        f"int8 - fp16 {rates['int8'] - rates['fp16']:+.3f} (95 % {low:+.3f} to {high:+.3f}), "
        f"{len(words)} utterances each"
    )


def main(argv: list[str] | None = None) -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="fp16 checkpoint folder")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--wer", action="store_true", help="also count words misheard (extra `listen`)")
    args = parser.parse_args(argv)
    models = {"fp16": load_checkpoint(args.folder), "int8": load_nano()}
    latents_db, audio_db, distance_db, same = [], [], [], []
    for text in TEXTS:
        tokens, codes = codes_of(models["fp16"], text, seed=1)
        (a, wave_a), (b, wave_b) = (led_over(model, tokens, codes) for model in models.values())
        latents_db.append(snr_db(a, b))
        audio_db.append(snr_db(wave_a, wave_b))
        distance_db.append(log_spectral_distance_db(wave_a, wave_b, sample_rate=24000))
        same.append(float(torch.equal(codes, codes_of(models["int8"], text, seed=1)[1])))
    print("teacher-forced over the same codes, int8 against fp16")
    print(summary("  SNR of latents", latents_db, "dB"))
    print(summary("  SNR of audio", audio_db, "dB"))
    print(summary("  log-spectral distance of audio", distance_db, "dB"))
    said = {who: [speech(m, t, s) for t in TEXTS for s in range(args.seeds)] for who, m in models.items()}
    print(f"free speech, {args.seeds} seeds a text (share with the very same codes {statistics.mean(same):.2f})")
    for who, waves in said.items():
        print(summary(f"  seconds of audio, {who}", [len(w) / 24000 for w in waves], "s"))
    # What another seed does to the same model is the scale to read the spectral distance against.
    again = [
        log_spectral_distance_db(a[: min(len(a), len(b))], b[: min(len(a), len(b))], sample_rate=24000)
        for a, b in zip(said["fp16"][:: args.seeds], said["fp16"][1 :: args.seeds], strict=True)
    ]
    print(summary("  log-spectral distance, fp16, two seeds", again, "dB"))
    if args.wer:
        print(error_rates(said, args.seeds))


if __name__ == "__main__":
    main()
