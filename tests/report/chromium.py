"""A headless Chromium that tests steer by its DevTools protocol, over pipes: no port and no package."""

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--remote-debugging-pipe")
# Chromium reads commands from descriptor 3 and writes answers to 4.
START = 'exec "$@" 3<&"$READ" 4>&"$WRITE"'
KEYS = {"Enter": ("Enter", 13, "\r"), "Tab": ("Tab", 9, ""), "Escape": ("Escape", 27, "")}
KEYS |= {name: (name, code, "") for name, code in (("ArrowLeft", 37), ("ArrowUp", 38), ("ArrowRight", 39))}
KEYS |= {"ArrowDown": ("ArrowDown", 40, ""), "End": ("End", 35, ""), "Home": ("Home", 36, "")}

# Scrolls to an element and tells its middle, once pictures that are being read have stopped moving it.
STILL = """async (selector) => {
  const element = document.querySelector(selector);
  let place = "";
  for (;;) {
    element.scrollIntoView({block: "center", behavior: "instant"});
    await new Promise((done) => setTimeout(done, 100));
    const box = element.getBoundingClientRect();
    const now = [box.x + box.width / 2, box.y + box.height / 2];
    if (place === String(now)) return now;
    place = String(now);
  }
}"""


class Page:
    """One page in Chromium."""

    def __init__(self, read: int, write: int) -> None:
        self._answers = os.fdopen(read, "rb")
        self._write = write
        self._count = 0
        self._session: dict[str, str] = {}
        self.requests: list[str] = []  # addresses that were asked for
        self.errors: list[str] = []  # of scripts
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self._session = {"sessionId": session}
        for domain in ("Page", "Runtime", "Network"):
            self.send(f"{domain}.enable")

    def _receive(self) -> dict[str, Any]:
        text = bytearray()
        while (letter := self._answers.read(1)) != b"\0":
            if not letter:
                raise RuntimeError("Chromium ended")
            text += letter
        message: dict[str, Any] = json.loads(text)
        if message.get("method") == "Network.requestWillBeSent":
            self.requests.append(message["params"]["request"]["url"])
        if message.get("method") == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(message["params"]["exceptionDetails"]))
        return message

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a command and wait for its answer."""
        self._count += 1
        command = {"id": self._count, "method": method, "params": params, **self._session}
        os.write(self._write, json.dumps(command).encode() + b"\0")
        while (message := self._receive()).get("id") != self._count:
            pass
        if "error" in message:
            raise RuntimeError(f"{method}: {message['error']}")
        result: dict[str, Any] = message["result"]
        return result

    def open(self, path: Path, width: int = 1366, height: int = 900, phone: bool = False) -> None:
        """Open a file in a window of this size."""
        size = {"width": width, "height": height, "deviceScaleFactor": 2 if phone else 1, "mobile": phone}
        self.send("Emulation.setDeviceMetricsOverride", **size)
        self.send("Page.navigate", url=path.as_uri())
        while self._receive().get("method") != "Page.loadEventFired":
            pass

    def run(self, script: str) -> Any:
        """Return the value of an expression; promises are waited for."""
        given = {"expression": script, "returnByValue": True, "awaitPromise": True}
        done = self.send("Runtime.evaluate", **given)
        if "exceptionDetails" in done:
            raise RuntimeError(json.dumps(done["exceptionDetails"]))
        return done["result"].get("value")

    def wait(self, condition: str, seconds: int = 20) -> None:
        """Wait until an expression is true: on a busy machine keys act some time after they are pressed."""
        script = """async (holds, seconds) => {
          for (let tries = 0; tries < 20 * seconds && !holds(); tries++)
            await new Promise((done) => setTimeout(done, 50));
          return Boolean(holds());
        }"""
        if not self.run(f"({script})(() => {condition}, {seconds})"):
            raise AssertionError(f"not so after {seconds} s: {condition}")

    def click(self, selector: str) -> None:
        """Click into the middle of an element, as a mouse does."""
        x, y = self.run(f"({STILL})({json.dumps(selector)})")
        for kind in ("mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def press(self, *names: str) -> None:
        """Press keys one after the other."""
        for name in names:
            key, code, text = KEYS[name]
            given = {"key": key, "code": key, "windowsVirtualKeyCode": code, "text": text}
            self.send("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", **given)
            self.send("Input.dispatchKeyEvent", type="keyUp", key=key, code=key, windowsVirtualKeyCode=code)

    def choose(self, key: str, value: str) -> None:
        """Choose a value of a filter."""
        script = "(e, value) => { e.value = value; e.dispatchEvent(new Event('change')); }"
        found = json.dumps(f'select[data-filter="{key}"]')
        self.run(f"({script})(document.querySelector({found}), {json.dumps(value)})")

    def picture(self, path: Path) -> None:
        """Write what is in sight as PNG."""
        path.write_bytes(base64.b64decode(self.send("Page.captureScreenshot")["data"]))


@contextmanager
def chromium(profile: Path) -> Iterator[Page]:
    """Start Chromium with a profile of its own, and end it."""
    (their_read, write), (read, their_write) = os.pipe(), os.pipe()
    environment = os.environ | {"READ": str(their_read), "WRITE": str(their_write)}
    command = ["bash", "-c", START, "bash", str(CHROMIUM), *FLAGS, f"--user-data-dir={profile}"]
    with subprocess.Popen(
        command,
        env=environment,
        pass_fds=(their_read, their_write),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        os.close(their_read)
        os.close(their_write)
        try:
            yield Page(read, write)
        finally:
            process.terminate()
            os.close(write)
