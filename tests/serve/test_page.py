"""The page: its headers with every run; in a real browser with the marker ``browser``."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from hardtack.serve import page
from tests.serve.browser import Browser
from tests.serve.serving import Serving

PICTURES = os.environ.get("HARDTACK_PICTURES")


@pytest.mark.parametrize(("path", "file"), [(path, name) for path, (name, _) in page.FILES.items()])
def test_the_page_comes_with_a_strict_policy(served: Serving, path: str, file: str) -> None:
    said = served.get(path)
    assert said.body == page.read(file)
    policy = said.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert said.headers["x-content-type-options"] == "nosniff"


def test_nothing_of_the_page_comes_from_elsewhere() -> None:
    for name, _ in page.FILES.values():
        text = page.read(name).decode()
        assert not re.search(r"(?:src|href|url|import)\W{1,3}(?:https?:)?//", text), name
        assert "innerHTML" not in text


def test_stats(served: Serving) -> None:
    served.post("/v1/embeddings", {"model": "emb", "input": "light"})
    said = served.get("/stats").json
    assert {model["key"] for model in said["models"]} == {"classify", "emb", "rerank", "static"}
    one = next(each for each in said["requests"] if each["path"] == "/v1/embeddings")
    assert 0 < one["p50"] <= one["p99"]
    assert said["denied"] is None
    assert said["memory"] > 2**20


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as session:
        yield session


def picture(browser: Browser, name: str) -> None:
    if PICTURES:
        browser.picture(Path(PICTURES) / f"{name}.png")


@pytest.mark.browser
def test_all_of_it_works(browser: Browser, served: Serving) -> None:
    browser.open(served.url)
    assert browser.until("return document.querySelectorAll('#models tbody tr').length") == 4
    assert "ready" in browser.until("return document.querySelector('#state').textContent")
    browser.run("document.querySelector('#embed button').click()")
    assert browser.until("return document.querySelectorAll('.heat tbody td').length") == 16
    diagonal = browser.run(
        "return [...document.querySelectorAll('.heat tbody tr')].map((r, i) => r.cells[i + 1].textContent)"
    )
    assert diagonal == ["1.00"] * 4
    browser.run("document.querySelector('#rerank button').click()")
    scores = browser.until(
        "const all = [...document.querySelectorAll('output[for=rerank] dd')].map(d => +d.textContent);"
        "return all.length && all"
    )
    assert len(scores) == 3
    assert scores == sorted(scores, reverse=True)
    browser.run("document.querySelector('#classify button').click()")
    assert browser.until("return document.querySelectorAll('output[for=classify] h3').length") == 2
    assert browser.run("return document.querySelectorAll('#snippets pre').length") == 4
    assert browser.until("return document.querySelectorAll('#figures tbody tr').length") >= 3
    assert browser.complaints() == []
    picture(browser, "light")
    browser.devtools("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    grounds = browser.run("return getComputedStyle(document.body).backgroundColor")
    assert grounds == "rgb(22, 21, 15)"
    picture(browser, "dark")
    browser.devtools("Emulation.setEmulatedMedia", features=[])


@pytest.mark.browser
def test_an_error_is_shown_as_text(browser: Browser, served: Serving) -> None:
    browser.open(served.url)
    browser.until("return document.querySelectorAll('#models tbody tr').length")
    browser.run(
        "document.querySelector('#embed textarea').value = ' '; document.querySelector('#embed button').click()"
    )
    assert "must not be empty" in browser.until("return document.querySelector('[role=alert]')?.textContent")
    markup = "<img src=x onerror=document.title='run'>"
    browser.run(
        "document.querySelector('#embed textarea').value = arguments[0];"
        "document.querySelector('#embed button').click()",
        markup,
    )
    browser.until("return document.querySelector('.heat tbody th')?.textContent.includes('<img')")
    assert browser.run("return document.title") == "hardtack"
    assert browser.run("return document.images.length") == 0


@pytest.mark.browser
def test_it_can_be_used_by_keyboard(browser: Browser, served: Serving) -> None:
    browser.open(served.url)
    browser.until("return document.querySelectorAll('#embed select option').length")
    browser.type("\ue004")
    assert browser.run("return document.activeElement.className") == "skip"
    seen = []
    for _ in range(12):
        browser.type("\ue004")
        seen.append(
            browser.run("const at = document.activeElement; return `${at.closest('form')?.id ?? ''} ${at.tagName}`")
        )
        if seen[-1] == "embed TEXTAREA":
            break
    assert seen[-1] == "embed TEXTAREA", seen
    browser.type("\ue009\ue007")
    assert browser.until("return document.querySelectorAll('.heat tbody td').length") == 16


@pytest.mark.browser
def test_on_a_narrow_screen_nothing_sticks_out(browser: Browser, served: Serving) -> None:
    browser.devtools("Emulation.setDeviceMetricsOverride", width=360, height=800, deviceScaleFactor=1, mobile=True)
    browser.open(served.url)
    browser.until("return document.querySelectorAll('#models tbody tr').length")
    browser.run("document.querySelector('#embed button').click()")
    browser.until("return document.querySelectorAll('.heat tbody td').length")
    picture(browser, "narrow")
    assert browser.run("return document.documentElement.scrollWidth") <= 360
    browser.devtools("Emulation.clearDeviceMetricsOverride")


@pytest.mark.browser
def test_it_asks_for_the_key(browser: Browser, pantry: Path, tmp_path: Path) -> None:
    with Serving(str(pantry), "emb", cwd=tmp_path, HARDTACK_API_KEYS="open-sesame") as service:
        browser.open(service.url)
        assert browser.until("return document.activeElement.id == 'key-value'")
        assert browser.run("return document.querySelectorAll('#models tbody tr').length") == 0
        browser.type("open-sesame\ue007")
        browser.until("return document.querySelectorAll('#models tbody tr').length")
        assert browser.run("return document.querySelector('#key').hidden") is True
        assert "open-sesame" not in browser.run("return document.documentElement.outerHTML")
