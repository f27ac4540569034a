"""What a process and its children cost: peak memory and processor time, read from /proc; and ending them."""

import os
import re
import signal
import subprocess
from pathlib import Path

END_SECONDS_MAX = 30
TICKS = os.sysconf("SC_CLK_TCK")


def tree(pid):
    """The process and all that descend from it, as far as they live."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := stat(int(entry.name))):
            parents.setdefault(int(fields[1]), []).append(int(entry.name))
    found = [pid]
    for parent in found:
        found += parents.get(parent, [])
    return found


def stat(pid):
    """The fields of /proc/PID/stat behind the command's name, or None where the process has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    except OSError:
        return None


def cpu_seconds(pid):
    """User and system time of a process and its descendants, those included that have ended and were waited for."""
    ticks = 0
    for member in tree(pid):
        if fields := stat(member):
            ticks += sum(map(int, fields[11:15]))
    return ticks / TICKS


def peak_mib(pid):
    """Peak resident memory (VmHWM) of a process and its descendants, added up."""
    kib = 0
    for member in tree(pid):
        try:
            text = Path(f"/proc/{member}/status").read_text()
        except OSError:
            continue
        if found := re.search(r"VmHWM:\s+(\d+) kB", text):
            kib += int(found[1])
    return kib / 1024


class Children:
    """Every process that the comparison starts, so that none outlives it."""

    def __init__(self):
        self.running = []

    def start(self, command, **options):
        # A session of its own: Ctrl-C reaches the comparison alone, which then ends its children.
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True, **options)
        self.running.append(process)
        return process

    def end(self, process):
        """SIGTERM to the process, then SIGKILL to what is left of its tree. Returns its exit code."""
        members = tree(process.pid) if process.poll() is None else []
        if members:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(END_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for member in members[1:]:
            # Invariant: the session was made by `start`, so the id is not one that was given to a stranger since.
            try:
                if os.getsid(member) == process.pid:
                    os.kill(member, signal.SIGKILL)
            except ProcessLookupError:
                pass
        if process in self.running:
            self.running.remove(process)
        return process.returncode

    def end_all(self):
        for process in list(self.running):
            self.end(process)
