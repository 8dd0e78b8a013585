"""Nano: the real `Xtts` class at a size that loads in under 2 s and speaks faster than real time on two CPU cores.

It ships with the package (`nano_data/`), so that a sweep runs offline. English, one synthetic voice,
pieces of about 70 characters; docs/nano.md says what it can't do.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file
from TTS.encoder.models.resnet import ResNetSpeakerEncoder
from TTS.tts.configs.xtts_config import XttsConfig
from TTS.tts.layers.tortoise.autoregressive import ConditioningEncoder
from TTS.tts.layers.xtts.perceiver_encoder import PerceiverResampler
from TTS.tts.layers.xtts.tokenizer import VoiceBpeTokenizer
from TTS.tts.layers.xtts.xtts_manager import SpeakerManager
from TTS.tts.models.xtts import Xtts
from TTS.vocoder.models.hifigan_generator import HifiganGenerator

DATA = Path(__file__).parent / "nano_data"
REFERENCE = DATA / "ref.flac"
CHAR_LIMIT = 70
SCALE_SUFFIX = ":scale"
SPEAKER_PREFIX = "speaker:"


class NanoXtts(Xtts):  # type: ignore[misc]
    """`Xtts` with nano's shape, which config.json has no words for; all else is the library's own."""

    def init_models(self) -> None:
        """Build the library's modules, then put nano's small ones in their places."""
        super().init_models()
        self.tokenizer.char_limits["en"] = CHAR_LIMIT
        width, heads = self.args.gpt_n_model_channels, self.args.gpt_n_heads
        self.gpt.conditioning_encoder = ConditioningEncoder(80, width, attn_blocks=1, num_attn_heads=heads)
        self.gpt.conditioning_perceiver = PerceiverResampler(
            dim=width, depth=1, dim_context=width, num_latents=8, dim_head=32, heads=4, ff_mult=2
        )
        decoder = self.hifigan_decoder
        decoder.waveform_decoder = HifiganGenerator(
            self.args.decoder_input_dim,
            1,
            "2",
            [[1, 3], [3, 12]],
            [3, 7],
            [16, 16, 4, 4],
            256,
            [8, 8, 2, 2],
            inference_padding=0,
            cond_channels=self.args.d_vector_dim,
            conv_pre_weight_norm=False,
            conv_post_weight_norm=False,
            conv_post_bias=False,
            cond_in_each_up_layer=self.args.cond_d_vector_in_each_upsampling_layer,
        )
        decoder.speaker_encoder = ResNetSpeakerEncoder(
            input_dim=64,
            proj_dim=self.args.d_vector_dim,
            layers=[1, 1, 1, 1],
            num_filters=[8, 8, 16, 16],
            log_input=True,
            use_torch_spec=True,
            audio_config=decoder.speaker_encoder_audio_config,
        )


def load_nano() -> NanoXtts:
    """Return the shipped nano on the CPU in fp32, ready for `inference` and `inference_stream`.

    It is in the state that `Xtts.load_checkpoint(eval=True)` leaves a model in, with the studio voice
    'nano' in its speaker manager.
    """
    state, speakers = unpack(load_file(DATA / "model.safetensors"))
    config = XttsConfig()
    config.load_json(str(DATA / "config.json"))
    model = NanoXtts(config)
    limits = model.tokenizer.char_limits
    model.tokenizer = VoiceBpeTokenizer(vocab_file=str(DATA / "vocab.json"))
    model.tokenizer.char_limits = limits
    model.load_state_dict(state)
    # SpeakerManager's constructor unpickles a file; its state is one dictionary.
    model.speaker_manager = SpeakerManager.__new__(SpeakerManager)
    model.speaker_manager.speakers = speakers
    model.hifigan_decoder.eval()
    model.gpt.init_gpt_for_inference(kv_cache=model.args.kv_cache)
    model.gpt.eval()
    return model


def unpack(
    packed: dict[str, torch.Tensor],
) -> tuple[dict[str, torch.Tensor], dict[str, dict[str, torch.Tensor]]]:
    """Return state dict and studio voices, in fp32, of what `training/pack_nano.py` packed.

    An int8 tensor `name` is multiplied row by row with `name:scale`; a half-precision one is widened;
    `speaker:<voice>:<latent>` belongs to a voice.
    """
    state: dict[str, torch.Tensor] = {}
    speakers: dict[str, dict[str, torch.Tensor]] = {}
    for name, value in packed.items():
        if name.endswith(SCALE_SUFFIX):
            continue
        if value.dtype == torch.int8:
            scale = packed[name + SCALE_SUFFIX]
            value = value.float() * scale.reshape(-1, *[1] * (value.dim() - 1))
        elif value.is_floating_point():
            value = value.float()
        if name.startswith(SPEAKER_PREFIX):
            _, voice, latent = name.split(":")
            speakers.setdefault(voice, {})[latent] = value
        else:
            state[name] = value
    return state, speakers
