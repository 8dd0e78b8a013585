"""The pure parts of the benchmarks: what is counted, and what is concluded from it."""

from __future__ import annotations

import json
import re
import shlex
import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from callers import in_turns_db
from streams import WAYS, Count, gapless, given_up, line, most_at_once, requests, share
from token_floor import busy_share, mean_positions, step_bytes

from xttsbench.cli import main
from xttsbench.engines.gpt import weights_of
from xttsbench.models.nano import DATA
from xttsbench.settings import Settings

PAGE = Path(__file__).parents[1] / "docs" / "published-figures.md"
SWEEPS = re.findall(r"^    python -m xttsbench (.*)$", PAGE.read_text(), re.MULTILINE)


@pytest.mark.parametrize(("dtype", "size"), [(torch.float32, 4), (torch.bfloat16, 2)])
def test_the_bytes_of_a_step_equal_a_sum_by_hand(nano, dtype, size):
    shape = json.loads((DATA / "config.json").read_text())["model_args"]
    width, layers, vocabulary = (shape[f"gpt_{name}"] for name in ("n_model_channels", "layers", "num_audio_tokens"))
    # two norms, then qkv, its projection, and the MLP with four times the width, each with its bias
    layer = 2 * 2 * width + (3 * width * width + 3 * width) + (width * width + width) + (8 * width * width + 5 * width)
    ends = 2 * 2 * width + width * vocabulary + vocabulary + 2 * width
    cache = 100 * layers * 2 * width
    got = step_bytes(weights_of(nano.loaded.xtts.gpt, dtype), 100)
    assert got == size * (layers * layer + ends + cache)


def test_positions_read_grow_by_one_or_by_blocks():
    assert mean_positions(10, 4) == 12
    assert mean_positions(254, 4, block=256) == pytest.approx((256 + 256 + 512) / 3)


def test_overlapping_kernels_count_once():
    assert busy_share([(5.0, 10.0), (0.0, 2.0), (1.0, 3.0)]) == 0.8
    assert busy_share([(0.0, 9.0), (1.0, 2.0), (9.0, 10.0)]) == 1.0


def test_the_answer_is_below_the_first_n_that_fails():
    shares = {1: (20, 20), 2: (38, 40), 3: (56, 60), 4: (80, 80)}
    assert most_at_once(shares) == 2
    assert not given_up(shares)
    assert given_up({**shares, 5: (90, 100), 6: (0, 120)})
    assert most_at_once({1: (18, 20), 2: (40, 40)}) == 0
    assert not given_up({1: (0, 20)})


def test_a_failed_caller_is_not_gapless():
    stalled = {"stalls": 1.0, "prebuffer_s": 0.15, "ttfc_s": 0.5, "rtf": 1.1}
    fine = {**stalled, "stalls": 0.0, "prebuffer_s": 0.0}
    heard = ["OutOfMemoryError: no", stalled, fine]
    assert [gapless(f) for f in heard] == [False, False, True]
    assert [gapless(f, prebuffer_s=0.2) for f in heard] == [False, True, True]
    words = line(WAYS[0], heard, Count(1, 2, 3), prebuffer_s=0.2)
    assert "1/3 (33 %, 6 to 79)" in words and "FAILED 1: OutOfMemoryError" in words
    assert share(73, 73).endswith("95 to 100)")


def test_each_caller_has_its_own_text_and_seed(nano):
    asked = requests(nano.config, "stock", Settings(), callers=4, number=2)
    assert len({t.text.text for t in asked}) == len({t.seed for t in asked}) == 4


def test_why_stock_has_a_process_for_each_caller(nano):
    assert in_turns_db(nano, "stock", chunks=2) < 20
    assert in_turns_db(nano, "seamless", chunks=2) > 100


@pytest.mark.parametrize("command", SWEEPS)
def test_a_command_that_measures_the_like_of_a_published_figure_exists(command, in_tmp, capsys):
    assert main([*shlex.split(command), "--dry-run"]) == 0, capsys.readouterr().err
    assert " trials; " in capsys.readouterr().out
