"""The notebooks as a person meets them: JupyterLab in a real browser, cells run, a slider moved, a sweep begun and stopped, a clip played."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

pytestmark = pytest.mark.browser
NOTEBOOKS = Path(__file__).parent.parent.parent / "notebooks"
SMALL = {
    "02_sweep": dict(
        MODEL="nano", DEVICE="cpu", ENGINES=["stock", "seamless"], CHUNK_SIZES=[10, 20], TEXTS=["short"], REPEATS=2
    ),
    "03_streaming_vs_naive": dict(MODEL="nano", DEVICE="cpu", REPEATS=1),
}
# All cells are in the page, whether one has scrolled to them or not; and no question is asked at the start.
SETTINGS = {
    "notebook-extension/tracker": {"windowingMode": "none"},
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
}
DONE = """() => {
    const prompts = [...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')].map(p => p.textContent.trim());
    return prompts.length > 5 && prompts.every(p => /^\\[\\d+\\]:$/.test(p));
}"""
MINUTES = 60_000


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """The address of a JupyterLab of our own, with its token, over copies of the notebooks with small parameters."""
    home = tmp_path_factory.mktemp("lab")
    for name, values in SMALL.items():
        notebook = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
        cell = next(cell for cell in notebook.cells if cell.cell_type == "code")
        cell.source += "".join(f"\n{key} = {value!r}" for key, value in values.items())
        nbformat.write(notebook, home / f"{name}.ipynb")
    for name, values in SETTINGS.items():
        path = home / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))
    own = {f"JUPYTER_{what}_DIR": str(home / what.lower()) for what in ("CONFIG", "DATA", "RUNTIME")}
    own |= {"JUPYTERLAB_SETTINGS_DIR": str(home / "settings"), "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces")}
    env = {key: value for key, value in os.environ.items() if key != "MPLBACKEND"} | own
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1", "--port=0", "--allow-root"]
    command += ["--expose-app-in-browser", f"--ServerApp.root_dir={home}"]
    with subprocess.Popen(command, cwd=home, env=env, stderr=subprocess.PIPE, text=True) as server:
        address = ""
        for line in server.stderr:
            if "http://127.0.0.1" in line and "token=" in line:
                address = line[line.index("http") :].strip()
                break
        assert address, f"JupyterLab ended with code {server.poll()}"
        # what it says later must not fill the pipe, or it would stand still
        drain = subprocess.Popen(["cat"], stdin=server.stderr, stdout=subprocess.DEVNULL)
        yield address
        server.terminate()
        drain.wait()
    shutil.rmtree(home, ignore_errors=True)


def opened(browser, lab: str, name: str):
    """Return the page of a notebook all of whose cells have run, without an error among their outputs."""
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    base, token = lab.split("/lab?")
    page.goto(f"{base}/lab/tree/{name}.ipynb?reset&{token}", timeout=2 * MINUTES)
    page.wait_for_function("() => window.jupyterapp !== undefined", timeout=2 * MINUTES)
    page.evaluate("window.jupyterapp.restored")
    page.locator(".jp-Notebook .jp-CodeCell").first.wait_for(timeout=MINUTES)
    # Kernel first: cells that are run before it is there are lost.
    page.wait_for_function(
        "() => window.jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'",
        timeout=2 * MINUTES,
    )
    page.evaluate("window.jupyterapp.commands.execute('notebook:run-all-cells')")
    page.wait_for_function(DONE, timeout=5 * MINUTES)
    assert page.locator(".jp-RenderedText[data-mime-type='application/vnd.jupyter.error']").count() == 0
    return page


def source(page, selector: str) -> str:
    return page.locator(selector).first.get_attribute("src") or ""


def changed(page, selector: str, before: str) -> None:
    page.wait_for_function(
        "([s, old]) => { const i = document.querySelector(s); return i && i.src !== old && i.complete && i.naturalWidth > 100 }",
        arg=[selector, before],
        timeout=MINUTES,
    )


def test_02_a_sweep_is_begun_and_stopped_from_its_panel(browser, lab, tmp_path):
    page = opened(browser, lab, "02_sweep")
    page.locator(".jp-OutputArea .jp-RenderedImage img").nth(4).wait_for(timeout=MINUTES)
    panel = page.locator(".xttsbench-sweep-panel")
    panel.scroll_into_view_if_needed()
    panel.locator(".xttsbench-start").click()
    page.locator(".xttsbench-said [data-state=running]").wait_for(timeout=MINUTES)
    figure = ".xttsbench-sweep-panel .xttsbench-figure img"
    page.locator(figure).wait_for(timeout=3 * MINUTES)
    panel.locator(".xttsbench-stop").click()
    page.locator(".xttsbench-said [data-state=stopped], .xttsbench-said [data-state=finished]").wait_for(
        timeout=2 * MINUTES
    )
    before = source(page, figure)
    panel.locator(".xttsbench-live-metric select").select_option(index=1)
    changed(page, figure, before)
    page.screenshot(path=tmp_path / "02.png")
    page.close()


def test_03_a_slider_moves_the_figure_and_a_clip_plays(browser, lab, tmp_path):
    page = opened(browser, lab, "03_streaming_vs_naive")
    viewer = page.locator(".xttsbench-seam-viewer")
    viewer.scroll_into_view_if_needed()
    figure = ".xttsbench-seam-viewer .xttsbench-figure img"
    page.locator(figure).wait_for(timeout=MINUTES)
    before = source(page, figure)
    handle = viewer.locator(".xttsbench-zoom .noUi-handle")
    handle.focus()
    handle.press("ArrowRight")
    changed(page, figure, before)
    before = source(page, figure)
    viewer.locator(".xttsbench-seam-next").click()
    changed(page, figure, before)
    played = """async audio => {
        audio.muted = true;
        await audio.play();
        await new Promise(heard => { audio.ontimeupdate = () => audio.currentTime > 0 && heard(); });
        return audio.currentTime;
    }"""
    assert viewer.locator("audio").first.evaluate(played) > 0
    page.screenshot(path=tmp_path / "03.png")
    page.close()
