"""The report in a real browser, from disk: nothing is fetched, nothing complains, the sound loads, and it fits."""

from __future__ import annotations

import pytest

from xttsbench.cli import main

pytestmark = pytest.mark.browser
LOADED = "audio => audio.readyState >= 1 && Number.isFinite(audio.duration)"


@pytest.fixture(scope="module")
def report(tmp_path_factory, homes):
    folder = tmp_path_factory.mktemp("runs") / "quick"
    argv = ["sweep", "--model", "nano", "--device", "cpu", "--preset", "quick", "--engines", "stock", "naive"]
    assert main([*argv, "--texts", "short", "--repeats", "2", "--out", str(folder)]) == 0
    assert main(["report", str(folder)]) == 0
    return folder / "report.html"


@pytest.mark.parametrize(("width", "dark"), [(1200, False), (400, False), (1200, True)])
def test_the_page_opens_from_disk_and_fits(report, browser, width, dark, tmp_path):
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light")
    said, asked = [], []
    page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(report.as_uri())
    page.wait_for_function(f"[...document.querySelectorAll('audio')].every({LOADED})")
    assert said == []
    assert [url for url in asked if not url.startswith("data:")] == [report.as_uri()]
    players = page.locator("audio")
    assert players.count() >= 2
    assert all(seconds > 0.5 for seconds in page.eval_on_selector_all("audio", "all => all.map(a => a.duration)"))
    assert all(page.eval_on_selector_all("img", "all => all.map(i => i.complete && i.naturalWidth > 100)"))
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    picture = tmp_path / "page.png"
    page.screenshot(path=picture, full_page=True)
    assert picture.stat().st_size > 50_000
    page.close()


def test_figures_stay_readable_on_a_phone_and_scroll_by_keyboard(report, browser):
    page = browser.new_page(viewport={"width": 390, "height": 844})
    page.goto(report.as_uri())
    widths = "all => all.map(image => image.getBoundingClientRect().width)"
    assert all(width >= 640 for width in page.eval_on_selector_all("img", widths))
    box = page.locator("figure .box").first
    box.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("() => document.querySelector('figure .box').scrollLeft > 0")
    page.emulate_media(media="print")
    assert all(width <= 390 for width in page.eval_on_selector_all("img", widths))
    page.close()


def test_a_clip_plays_and_the_contents_lead_where_they_say(report, browser):
    page = browser.new_page()
    page.goto(report.as_uri())
    moved = "async a => { a.muted = true; await a.play(); await new Promise(r => a.ontimeupdate = () => a.currentTime > 0 && r()); return a.currentTime }"
    assert page.locator("audio").first.evaluate(moved) > 0
    for link in page.locator("nav a").all():
        link.click()
        assert page.locator(link.get_attribute("href")).is_visible()
        assert page.url.endswith(link.get_attribute("href"))
    page.close()


def test_it_prints_without_players(report, browser, tmp_path):
    page = browser.new_page()
    page.goto(report.as_uri())
    page.emulate_media(media="print")
    assert page.locator("audio").first.is_hidden() and page.locator("h1").is_visible()
    page.pdf(path=tmp_path / "page.pdf")
    assert (tmp_path / "page.pdf").read_bytes()[:4] == b"%PDF"
    page.close()
