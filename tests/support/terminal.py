"""A terminal with a program in it, as a user sees and types it: tmux, with a server of its own."""

from __future__ import annotations

import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

_SETTINGS = (
    "set -g default-terminal tmux-256color\nset -g status off\nset -g remain-on-exit on\nset -g history-limit 5000\n"
    "set -g remain-on-exit-format ''\nset -s escape-time 0\nset -g set-titles off\n"
)


class Terminal:
    """One screen; `run_terminal` makes it."""

    def __init__(self, folder: Path) -> None:
        self._socket, self._status = folder / "socket", folder / "status"

    def tmux(self, *words: str) -> str:
        """One command of tmux's."""
        done = subprocess.run(
            ["tmux", "-S", str(self._socket), *words], capture_output=True, text=True, check=True, timeout=10
        )
        return done.stdout

    def type(self, text: str) -> None:
        """Type `text` as it is."""
        self.tmux("send-keys", "-l", text)

    def press(self, *keys: str) -> None:
        """Press keys by tmux's names: Enter, Tab, C-c."""
        self.tmux("send-keys", *keys)

    def screen(self, *, color: bool = False) -> str:
        """All that was written, line by line as it stands there; with `color`, its colours as SGR sequences."""
        shown = self.tmux("capture-pane", "-p", "-S", "-", *(("-e",) if color else ()))
        return "\n".join(line.rstrip() for line in shown.rstrip("\n").split("\n")) + "\n"

    def wait_for(self, text: str, seconds: float = 20) -> str:
        """Wait until `text` stands on the screen; returns the screen."""
        return self.wait_until(lambda screen: text in screen, repr(text), seconds)

    def wait_until(self, is_there: Callable[[str], bool], what: str, seconds: float = 20) -> str:
        """Wait until the screen is so; returns it."""
        deadline = time.monotonic() + seconds
        while not is_there(shown := self.screen()):
            if time.monotonic() > deadline:
                raise AssertionError(f"{what} did not come; the screen shows:\n{shown}")
            time.sleep(0.03)
        return shown

    def end(self, seconds: float = 60) -> int:
        """Wait until the program has ended and all that it wrote is shown; returns its exit code."""
        deadline = time.monotonic() + seconds
        while not self._status.exists() or self.tmux("display-message", "-p", "#{pane_dead}").strip() != "1":
            if time.monotonic() > deadline:
                raise AssertionError(f"it did not end; the screen shows:\n{self.screen()}")
            time.sleep(0.03)
        return int(self._status.read_text())


# tmux itself loses the status of a program that ends as its terminal does.
_KEEP_STATUS = '"$@"; echo $? >"$0.new"; mv "$0.new" "$0"'


@contextmanager
def run_terminal(
    words: Sequence[str], environ: Mapping[str, str], *, width: int = 80, height: int = 60, cwd: Path | None = None
) -> Iterator[Terminal]:
    """Run a program in a terminal of that size."""
    with TemporaryDirectory(prefix="terminal-") as name:
        folder = Path(name)
        (folder / "tmux.conf").write_text(_SETTINGS)
        start = ["tmux", "-S", str(folder / "socket"), "-f", str(folder / "tmux.conf"), "-u", "new-session", "-d"]
        place = ["-x", str(width), "-y", str(height), "-c", str(cwd or folder)]
        program = ["sh", "-c", _KEEP_STATUS, str(folder / "status"), *words]
        clean = {name: value for name, value in environ.items() if name not in {"TMUX", "COLUMNS", "LINES", "NO_COLOR"}}
        subprocess.run(
            [*start, *place, "--", *program], env={**clean, "TERM": "xterm-256color", "LANG": "C.UTF-8"}, check=True,
            timeout=20,
        )  # fmt: skip
        terminal = Terminal(folder)
        try:
            yield terminal
        finally:
            terminal.tmux("kill-server")
