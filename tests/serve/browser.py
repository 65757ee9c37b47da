"""A headless Chromium by the WebDriver protocol, plainly: https://www.w3.org/TR/webdriver2/."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-gpu",
    "--disable-dev-shm-usage",
)


class Browser:
    """One session, while this is a context."""

    def __init__(self, width: int = 1200, height: int = 1600) -> None:
        self._size = f"--window-size={width},{height}"

    def __enter__(self) -> Self:
        driver = shutil.which("chromedriver")
        assert driver, "apt-get install chromium chromium-driver"
        self._driver = subprocess.Popen([driver, "--port=0"], stdout=subprocess.PIPE, text=True)
        assert self._driver.stdout is not None
        self._base = ""
        for line in self._driver.stdout:
            if found := re.search(r"successfully on port (\d+)", line):
                self._base = f"http://127.0.0.1:{found[1]}"
                break
        options = {"args": [*ARGUMENTS, self._size]}
        wanted = {"browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        try:
            session = self._ask("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        except BaseException:
            self._end()
            raise
        self._base += f"/session/{session['sessionId']}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ask("DELETE", "")
        self._end()

    def _end(self) -> None:
        self._driver.terminate()
        self._driver.wait()
        assert self._driver.stdout is not None
        self._driver.stdout.close()

    def open(self, url: str) -> None:
        self._ask("POST", "/url", {"url": url})

    def run(self, script: str, *arguments: Any) -> Any:
        """What a script of JavaScript returns."""
        return self._ask("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def until(self, script: str) -> Any:
        """What a script returns, once that is something."""
        deadline = time.monotonic() + 15
        while not (value := self.run(script)):
            assert time.monotonic() < deadline, f"never: {script}"
            time.sleep(0.05)
        return value

    def type(self, keys: str) -> None:
        """Keys, to whatever has the focus; Tab is \\ue004, Enter \\ue007, Control \\ue009."""
        focused = self._ask("GET", "/element/active")[ELEMENT]
        self._ask("POST", f"/element/{focused}/value", {"text": keys})

    def devtools(self, command: str, **parameters: Any) -> Any:
        return self._ask("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def complaints(self) -> list[str]:
        """What stands in the console."""
        return [line["message"] for line in self._ask("POST", "/se/log", {"type": "browser"})]

    def picture(self, file: Path) -> None:
        file.write_bytes(base64.b64decode(self._ask("GET", "/screenshot")))

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._base + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return json.loads(response.read())["value"]
        except urllib.error.HTTPError as problem:
            with problem:
                raise AssertionError(problem.read().decode()) from None
