"""The caches of coqui-tts and the Hugging Face hub, by folders made as those libraries make them."""

import pytest
from trainer.io import get_user_data_dir

from xttsbench.models import released as module
from xttsbench.models.released import FILES, MODEL, released


@pytest.fixture
def caches(monkeypatch, tmp_path):
    monkeypatch.setenv("TTS_HOME", str(tmp_path / "data"))
    monkeypatch.delenv("COQUI_TOS_AGREED", raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path


def fetch(caches, files=FILES):
    """Lay files out as the hub's cache does: blobs, snapshots with links to them, refs."""
    folder = caches / "hub" / "models--tts-hub--XTTS-v2"
    snapshot = folder / "snapshots" / "abc123"
    for made in (folder / "refs", folder / "blobs", snapshot):
        made.mkdir(parents=True)
    (folder / "refs" / "main").write_text("abc123")
    for name in files:
        (folder / "blobs" / name).write_text("bytes")
        (snapshot / name).symlink_to(folder / "blobs" / name)
    return snapshot


def agree(caches):
    folder = caches / "data" / "tts" / MODEL
    folder.mkdir(parents=True)
    (folder / "tos_agreed.txt").write_text("I have read, understood and agreed to the Terms and Conditions.")


def test_nothing_there(caches):
    found = released()
    assert not found.usable and found.folder is None
    assert str(found) == "not fetched, licence (CPML, non-commercial) not agreed to"


def test_whole_and_agreed_to(caches):
    agree(caches)
    snapshot = fetch(caches)
    found = released()
    assert found.usable and found.folder == snapshot
    assert str(found) == f"in the cache at {snapshot}, licence (CPML, non-commercial) agreed to"


def test_whole_but_not_agreed_to(caches):
    fetch(caches)
    assert not released().usable and released().missing == ()


@pytest.mark.parametrize(("value", "agreed"), [("1", True), ("0", False), ("yes", False)])
def test_only_a_1_in_the_environment_agrees(caches, monkeypatch, value, agreed):
    monkeypatch.setenv("COQUI_TOS_AGREED", value)
    assert released().agreed is agreed


def test_half_downloaded(caches):
    agree(caches)
    snapshot = fetch(caches, ("config.json", "vocab.json"))
    found = released()
    assert found.missing == ("model.pth", "speakers_xtts.pth") and not found.usable
    assert str(found).startswith(f"half downloaded, model.pth, speakers_xtts.pth missing in {snapshot}")


def test_a_link_to_nothing_is_missing(caches):
    snapshot = fetch(caches)
    (snapshot / "model.pth").resolve().unlink()
    assert released().missing == ("model.pth",)


@pytest.mark.parametrize("variables", [{}, {"XDG_DATA_HOME": "x"}, {"TTS_HOME": "t", "XDG_DATA_HOME": "x"}])
def test_the_data_folder_is_the_one_coqui_uses(monkeypatch, tmp_path, variables):
    for name in ("TTS_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, str(tmp_path / value))
    assert module.coqui_folder().parent == get_user_data_dir("tts")


def test_the_repository_is_the_one_coqui_fetches_from():
    import json
    from importlib import resources

    models = json.loads(resources.files("TTS").joinpath(".models.json").read_text())
    item = models["tts_models"]["multilingual"]["multi-dataset"]["xtts_v2"]
    assert item["repo_id"] == module.REPOSITORY and item["tos_required"]
