"""Chromium without a window, driven through DevTools over a pipe: for tests of pages.

Needs Debian's `chromium` (or a Chrome) on the path and nothing else; see `find`.
"""

import base64
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    "--headless=new",
    "--no-sandbox",  # containers run as root
    "--disable-gpu",
    "--disable-dev-shm-usage",  # its /dev/shm may be small
    "--disable-extensions",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)
SILENT_S = 120  # the longest wait for a word of the browser, on a busy machine

# The browser reads commands from descriptor 3 and writes to 4; shells move small numbers only.
ON_3_AND_4 = """
import fcntl, os, sys
pipes = [fcntl.fcntl(int(fd), fcntl.F_DUPFD, 10) for fd in sys.argv[1:3]]
for place, fd in zip((3, 4), pipes):
    os.dup2(fd, place)
os.execv(sys.argv[3], sys.argv[3:])
"""


def find() -> str | None:
    """The browser's program; None where there is none."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


@dataclass
class Page:
    """An open page: what it says, what it asked for, and what went wrong in it."""

    browser: "Browser"
    session: str
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression, from outside the page: its policy allows none."""
        given = {"expression": expression, "returnByValue": True}
        found = self.call("Runtime.evaluate", **given)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def resize(self, width: int, height: int = 800) -> None:
        """Show it in a window of this size."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", **size)

    def scheme(self, name: str) -> None:
        """`light` or `dark`."""
        features = [{"name": "prefers-color-scheme", "value": name}]
        self.call("Emulation.setEmulatedMedia", features=features)

    def screenshot(self, path: Path, height: int | None = None) -> None:
        """The whole page as a PNG file, or its upper part."""
        width = self.evaluate("innerWidth")
        full = self.evaluate("document.documentElement.scrollHeight")
        clip = {"x": 0, "y": 0, "width": width, "height": height or full, "scale": 1}
        shot = self.call("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    def pdf(self, path: Path) -> None:
        """The page as it would be printed on A4."""
        paper = {"preferCSSPageSize": True, "printBackground": True}
        path.write_bytes(base64.b64decode(self.call("Page.printToPDF", **paper)["data"]))

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One DevTools command in this page."""
        return self.browser.call(method, self.session, **parameters)


class Browser:
    """One process of the browser."""

    def __init__(self, process: subprocess.Popen[bytes], sink: int, source: int) -> None:
        self._process, self._sink = process, sink
        self._source = os.fdopen(source, "rb", buffering=0)
        self._unread, self._next = b"", 0
        self._pages: dict[str, Page] = {}
        self._loaded: set[str] = set()

    def call(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """Send a command and wait for its result; events on the way are remembered."""
        self._next += 1
        number = self._next
        message = {"id": number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        os.write(self._sink, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == number:
                assert "error" not in answer, answer
                result: dict[str, Any] = answer["result"]
                return result
            self._event(answer)

    def open(self, file: Path, width: int = 1100) -> Page:
        """Open a file and wait until it is loaded."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = self._pages[session] = Page(self, session)
        for domain in ("Page", "Runtime", "Log", "Network"):
            page.call(f"{domain}.enable")
        page.resize(width)
        self._loaded.discard(session)
        page.call("Page.navigate", url=file.absolute().as_uri())
        while session not in self._loaded:
            self._event(self._read())
        return page

    def _event(self, message: dict[str, Any]) -> None:
        page = self._pages.get(message.get("sessionId", ""))
        if page is None:
            return
        given = message["params"]
        match message["method"]:
            case "Page.loadEventFired":
                self._loaded.add(page.session)
            case "Network.requestWillBeSent":
                page.requests.append(given["request"]["url"])
            case "Runtime.exceptionThrown":
                page.errors.append(str(given["exceptionDetails"]))
            case "Runtime.consoleAPICalled":
                page.errors.append(str(given["args"]))
            case "Log.entryAdded":
                page.errors.append(given["entry"]["text"])

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._unread:
            ready, _, _ = select.select([self._source], [], [], SILENT_S)
            assert ready, f"the browser has said nothing for {SILENT_S} s"
            more = self._source.read(1 << 16)
            assert more, "the browser has ended"
            self._unread += more
        line, _, self._unread = self._unread.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        return message

    def close(self) -> None:
        """End the process, and all that it started."""
        with suppress(OSError, AssertionError):  # it has ended by itself
            self.call("Browser.close")
        try:
            self._process.wait(timeout=60)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._source.close()
            os.close(self._sink)


@contextmanager
def started():
    """A browser with a profile of its own."""
    program = find()
    assert program is not None
    with tempfile.TemporaryDirectory(prefix="browser-", ignore_cleanup_errors=True) as profile:
        theirs_in, ours_out = os.pipe()
        ours_in, theirs_out = os.pipe()
        words = [program, *FLAGS, f"--user-data-dir={profile}", "about:blank"]
        pipes = str(theirs_in), str(theirs_out)
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", ON_3_AND_4, *pipes, *words],
            pass_fds=(theirs_in, theirs_out),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        browser = Browser(process, ours_out, ours_in)
        try:
            yield browser
        finally:
            browser.close()
