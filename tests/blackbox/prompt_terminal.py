"""A pseudo-terminal with the program in it, seen as a person sees it: what stands on the screen."""

import errno
import fcntl
import os
import pty
import select
import signal
import struct
import termios
import time

import pyte

PROMPT = "sql> "
# Tab, Ctrl-C, Ctrl-D, the arrows.
TAB, INTERRUPT, END, UP = "\t", "\x03", "\x04", "\x1b[A"


class Terminal:
    """Runs one command in a terminal of its own."""

    def __init__(self, command, folder, columns=100, rows=30, **environment):
        self.screen = pyte.HistoryScreen(columns, rows, history=5000)
        self.stream = pyte.ByteStream(self.screen)
        self.raw = b""
        self.pid, self.file = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            os.environ.update({"TERM": "xterm-256color", "XDG_STATE_HOME": str(folder / "state"), **environment})
            os.execv(command[0], command)
        self.resize(columns, rows)

    def resize(self, columns, rows):
        fcntl.ioctl(self.file, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.screen.resize(rows, columns)

    def type(self, text):
        os.write(self.file, text.encode())

    def enter(self, text):
        self.type(text + "\r")

    def read(self, seconds):
        """Takes what comes within this time; False where the program has ended."""
        ready, _, _ = select.select([self.file], [], [], seconds)
        if not ready:
            return True
        try:
            data = os.read(self.file, 65536)
        except OSError as error:
            if error.errno == errno.EIO:
                return False
            raise
        self.raw += data
        self.stream.feed(data)
        # The line editor asks where the cursor stands.
        if b"\x1b[6n" in data:
            self.type(f"\x1b[{self.screen.cursor.y + 1};{self.screen.cursor.x + 1}R")
        return bool(data)

    def lines(self):
        above = ["".join(row[column].data for column in range(self.screen.columns)) for row in self.screen.history.top]
        return [line.rstrip() for line in above + list(self.screen.display)]

    def text(self):
        return "\n".join(self.lines()).rstrip()

    def wait(self, condition, seconds=30, what="what was expected"):
        """Reads until `condition` holds for the text on the screen."""
        deadline = time.monotonic() + seconds
        while not condition(self.text()):
            assert time.monotonic() < deadline, f"{what} did not appear within {seconds} s:\n{self.text()}"
            assert self.read(0.05), f"the program ended before {what}:\n{self.text()}"
        return self.text()

    def wait_for(self, text, seconds=30):
        return self.wait(lambda screen: text in screen, seconds, repr(text))

    def wait_prompt(self, seconds=30):
        """Waits for an empty prompt, where the cursor stands."""
        return self.wait(lambda screen: screen.endswith(PROMPT.rstrip()), seconds, "the prompt")

    def ask(self, query, seconds=30):
        """Types a query and gives what is printed for it."""
        before = len(self.lines_printed())
        self.enter(query)
        self.wait(
            lambda screen: len(self.lines_printed()) > before and screen.endswith(PROMPT.rstrip()), seconds, query
        )
        return "\n".join(self.lines_printed()[before:])

    def lines_printed(self):
        return [line for line in self.lines() if line and line != PROMPT.rstrip()]

    def exit_code(self, seconds=20):
        deadline = time.monotonic() + seconds
        while True:
            self.read(0.02)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.pid = None
                # What was printed last may still be in the terminal.
                while select.select([self.file], [], [], 0)[0] and self.read(0):
                    pass
                return os.waitstatus_to_exitcode(status)
            assert time.monotonic() < deadline, f"still running:\n{self.text()}"

    def close(self):
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.file)
