"""A browser for the tests that ask for one: asked for and not there is a failure, not a skip."""

from __future__ import annotations

import shutil

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]


@pytest.fixture(scope="session")
def browser():
    from playwright.sync_api import sync_playwright

    path = next((found for found in map(shutil.which, NAMES) if found), None)
    if path is None:
        pytest.fail(
            f"tests marked `browser` need one of {', '.join(NAMES)} on the path; on Debian `apt install chromium`"
        )
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=QUIET)
        yield browser
        browser.close()
