"""Streaming without joins: a fast token loop, and a vocoder that decodes each frame once, with its whole context."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any, NamedTuple

import torch

from xttsbench.engines import Piece
from xttsbench.engines.ahead import Ahead
from xttsbench.engines.decode import TokenLoop
from xttsbench.engines.gpt import prefix_of, weights_of
from xttsbench.engines.window import Vocoder, Window
from xttsbench.settings import COMPILE_MODES, PRECISIONS, Settings, unknown

DTYPES = {"fp32": torch.float32, "tf32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class Spoken(NamedTuple):
    """Latents (n, width) of a sentence, and whether they are its last."""

    sentence: int
    latents: torch.Tensor
    final: bool


class Seamless:
    """An engine over a loaded `Xtts`: same weights, same settings, same tokens as its `inference_stream`.

    The audio equals one decode of all latents of a sentence, whatever the chunks. `do_sample=False` is truly greedy
    here: the likeliest token after the repetition penalty, nothing drawn. The model is read, never changed.

    Parameters
    ----------
    xtts
        A loaded `TTS.tts.models.xtts.Xtts` in fp32, in the state that `load_checkpoint(eval=True)` leaves it in.
    precision
        fp32 is without TF32, also in the convolutions, where torch allows it by default. bf16 and fp16 keep a copy
        of GPT and vocoder in that type.
    cuda_graph
        Capture the token step as a CUDA graph; None does so on CUDA.
    compile
        A mode of torch.compile for the token step.

    Attributes
    ----------
    warmup_s
        Seconds spent so far on compiling and capturing, all at first use.
    fused
        Whether the token step runs in Triton kernels of our own: on CUDA, if they can be built, know the model's shape, and
        nothing is compiled.

    Raises
    ------
    ValueError
        For an unknown precision or mode, one that the device can't do, or a model whose layers aren't known.
    """

    def __init__(
        self, xtts: Any, *, precision: str = "fp32", cuda_graph: bool | None = None, compile: str = "none"
    ) -> None:
        if precision not in PRECISIONS:
            raise unknown("precision", precision, PRECISIONS)
        if compile not in COMPILE_MODES:
            raise unknown("compile", compile, COMPILE_MODES)
        cuda = xtts.device.type == "cuda"
        if not cuda and (cuda_graph or precision == "tf32"):
            what = "cuda_graph=True" if cuda_graph else "precision 'tf32'"
            raise ValueError(f"{what} needs a CUDA device, but the model is on {xtts.device}; leave it out.")
        self.xtts = xtts
        self.precision = precision
        dtype = DTYPES[precision]
        self._vocoder = Vocoder(xtts.hifigan_decoder, dtype)
        self._loop = TokenLoop(
            weights_of(xtts.gpt, dtype),
            start=xtts.gpt.start_audio_token,
            stop=xtts.gpt.stop_audio_token,
            static=cuda or compile != "none",
            graph=cuda if cuda_graph is None else cuda_graph,
            compile=compile,
            fused=cuda,
        )

    @property
    def warmup_s(self) -> float:
        return self._loop.warmup_s

    @property
    def fused(self) -> bool:
        return self._loop.fused

    @torch.inference_mode()
    def stream(
        self,
        text: str,
        settings: Settings,
        *,
        gpt_cond_latent: torch.Tensor,
        speaker_embedding: torch.Tensor,
        stage: Callable[[str], None] | None = None,
        codes: list[list[torch.Tensor]] | None = None,
        latents: list[list[torch.Tensor]] | None = None,
    ) -> Iterator[Piece]:
        """Yield the speech of `text` in pieces, as soon as each is certain.

        Parameters
        ----------
        text
            Split as in `inference_stream` if `enable_text_splitting`: each sentence is a generation of its own.
        settings
            `stream_chunk_size`, `first_chunk_size` and `chunk_growth` say when the vocoder runs; it holds back the
            context that it lacks, 13 frames of 256 samples for XTTSv2, until the next piece.
        gpt_cond_latent, speaker_embedding
            From `Xtts.get_conditioning_latents`, (1, p, width) and (1, d, 1).
        stage
            Told the name of each stage as it begins: text, prefill, token_loop, vocoder, other. One stage is then under way
            at any moment; without it, a CPU with two threads or more makes tokens and decodes them at the same time.
        codes
            The tokens of each sentence are appended, once it has ended.
        latents
            A list a sentence is appended, to which its latents (n, width) go as they are decoded.

        Yields
        ------
        Piece
            Never empty. Random numbers come from torch's generator: seed it before the call.

        Raises
        ------
        ValueError
            If a sentence has more text tokens than the model takes.
        """
        to = stage or (lambda name: None)
        ahead: Ahead[Spoken] | None = None
        work = self._speak(
            text,
            settings,
            gpt_cond_latent,
            to,
            codes,
            wanted=lambda: ahead is None or not ahead.closing,
            overlap=stage is None,
        )
        spoken: Iterator[Spoken] = work
        made, sentence, window = 0, -1, None
        try:
            while (item := next(spoken, None)) is not None:
                if item.sentence != sentence or window is None:
                    sentence, window = item.sentence, Window(self._vocoder, speaker_embedding, speed=settings.speed)
                    if latents is not None:
                        latents.append([])
                if latents is not None:  # the next generation may overwrite them
                    latents[-1].append(item.latents.clone())
                to("vocoder")
                with numerics(self.xtts.device, tf32=self.precision == "tf32"):
                    audio = window.push(item.latents, final=item.final)
                to("other")
                made += item.latents.shape[0]
                del item
                if audio.numel():
                    yield Piece(audio, sentence, made)
                del audio
                if ahead is None and stage is None and self._overlaps():
                    # not before the first sound, which would wait for it
                    ahead = Ahead(work)
                    spoken = iter(ahead)
        finally:
            (ahead or work).close()

    @torch.inference_mode()
    def decode(
        self, sentences: Sequence[torch.Tensor], settings: Settings, *, speaker_embedding: torch.Tensor
    ) -> Iterator[Piece]:
        """Yield the pieces that `stream` makes of latents (n, width), one tensor a sentence, at the chunk sizes of `settings`."""
        made = 0
        for number, latents in enumerate(sentences):
            window, start = Window(self._vocoder, speaker_embedding, speed=settings.speed), 0
            for end in itertools.accumulate(chunk_sizes(settings)):
                with numerics(self.xtts.device, tf32=self.precision == "tf32"):
                    audio = window.push(latents[start:end], final=end >= len(latents))
                if audio.numel():
                    yield Piece(audio, number, made + min(end, len(latents)))
                if end >= len(latents):
                    break
                start = end
            made += len(latents)

    def _overlaps(self) -> bool:
        return self.xtts.device.type == "cpu" and torch.get_num_threads() > 1

    def _speak(
        self,
        text: str,
        settings: Settings,
        gpt_cond_latent: torch.Tensor,
        stage: Callable[[str], None],
        codes: list[list[torch.Tensor]] | None,
        *,
        wanted: Callable[[], bool],
        overlap: bool,
    ) -> Generator[Spoken]:
        """Yield the latents of every sentence, as many at a time as the schedule says."""
        language = settings.language.split("-")[0]
        for number, sentence in enumerate(self._sentences(text, language, split=settings.enable_text_splitting)):
            stage("text")
            ids = self._encode(sentence, language)
            # read after encoding: a tokenizer may have set it for this sentence
            limit = self.xtts.gpt.max_gen_mel_tokens
            stage("prefill")
            with torch.inference_mode():
                prefix = prefix_of(self.xtts.gpt, gpt_cond_latent.to(self.xtts.device), ids)
            chunks = self._loop.run(
                prefix,
                settings,
                limit=limit,
                sizes=chunk_sizes(settings),
                stage=stage,
                codes=codes,
                wanted=wanted,
                overlap=overlap,
            )
            with closing(chunks):
                final = False
                while not final:
                    with numerics(self.xtts.device, tf32=self.precision == "tf32"):
                        latents, final = next(chunks, (None, True))
                    if latents is None:
                        return
                    yield Spoken(number, latents, final)

    def _sentences(self, text: str, language: str, *, split: bool) -> list[str]:
        from TTS.tts.layers.xtts.tokenizer import split_sentence

        pieces = split_sentence(text, language, self.xtts.tokenizer.char_limits[language]) if split else [text]
        return [piece.strip().lower() for piece in pieces]

    def _encode(self, sentence: str, language: str) -> torch.Tensor:
        tokens = self.xtts.tokenizer.encode(sentence, lang=language)
        most = self.xtts.args.gpt_max_text_tokens - 1
        if len(tokens) > most:
            raise ValueError(
                f"a sentence has {len(tokens)} text tokens, the model takes {most}; "
                "shorten it or set enable_text_splitting."
            )
        return torch.tensor([tokens], dtype=torch.int32, device=self.xtts.device)


def chunk_sizes(settings: Settings) -> Iterator[int]:
    """Yield the number of tokens in each chunk: `first_chunk_size` growing by `chunk_growth` up to `stream_chunk_size`.

    >>> from itertools import islice
    >>> list(islice(chunk_sizes(Settings(first_chunk_size=5, chunk_growth=1.5)), 6))
    [5, 8, 12, 18, 20, 20]
    """
    last = settings.stream_chunk_size
    size = settings.first_chunk_size or last
    while True:
        yield size
        grown = math.ceil(size * settings.chunk_growth)
        size = min(grown, last) if settings.chunk_growth > 1 and size < last else last


@contextmanager
def numerics(device: torch.device, *, tf32: bool) -> Iterator[None]:
    """Allow or forbid TF32 inside, and switch the caller's autocast off; all comes back as it was on leaving."""
    if device.type == "cpu":  # TF32 flags are the whole process's, and no CPU reads them
        with torch.autocast(device.type, enabled=False):
            yield
        return
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    matmul.allow_tf32 = cudnn.allow_tf32 = tf32
    try:
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32 = before
