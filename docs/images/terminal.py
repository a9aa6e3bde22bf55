#!/usr/bin/python3
"""Runs a command in a terminal of its own and draws what it prints, as SVG.

    docs/images/terminal.py --leave-out 'What a value says' \
        --leave-out 'opened outside' --leave-out Time \
        make quickstart >docs/images/quickstart.svg

Nothing is drawn if the command fails.  Run make quickstart-remove before, and
make quickstart once with the packages installed, so that the picture has a
first run without apt-get's lines.  A section of the output begins with a line
in bold; --leave-out TEXT leaves out one whose heading has that text, and
shows an ellipsis in its place.
"""

import argparse
import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from xml.sax.saxutils import escape

COLUMNS = 140
CHARACTER, LINE, MARGIN = 7.8, 18, 20
COLOURS = {"plain": "#d1d7e0", "bold": "#ffffff", "dim": "#9198a1",
           "green": "#57d364", "red": "#ff7b72", "prompt": "#79c0ff"}
CODES = {"": "plain", "0": "plain", "1": "bold", "2": "dim", "31": "red",
         "32": "green"}
TOKEN = re.compile(
    r"\x1b\[([0-9;?]*)([A-Za-z])|([\r\n])|([^\x1b\r\n])")


def run(command):
    """What a command prints to a terminal; ends this program if it fails."""
    master, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ,
                struct.pack("HHHH", 50, COLUMNS, 0, 0))
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=terminal,
                          stderr=terminal) as process:
        os.close(terminal)
        printed = b""
        while True:
            try:
                some = os.read(master, 65536)
            except OSError:     # Linux's way to say that the other end is closed
                break
            if not some:
                break
            printed += some
    text = printed.decode("utf-8", "replace")
    if process.returncode != 0:
        sys.exit(text + f"\n{command[0]} failed: {process.returncode}")
    return text


def screen(text):
    """Lines of (character, colour), as a terminal is left with them."""
    lines, column, colour = [[]], 0, "plain"
    for code, command, control, character in TOKEN.findall(text):
        line = lines[-1]
        if control == "\n":
            lines.append([])
            column = 0
        elif control == "\r":
            column = 0
        elif command == "m":
            colour = CODES.get(code, "plain")
        elif command == "K":
            del line[column:]
        elif character:
            if column == COLUMNS:
                lines.append([])
                line, column = lines[-1], 0
            line[column:column + 1] = [(character, colour)]
            column += 1
    return lines


def is_heading(line):
    return bool(line) and all(colour == "bold" for _, colour in line)


def leave_out(lines, texts):
    """The lines without the sections whose heading has one of the texts."""
    kept, leaving = [], False
    for line in lines:
        if is_heading(line):
            heading = "".join(character for character, _ in line)
            left_before, leaving = leaving, any(t in heading for t in texts)
            if leaving and not left_before:
                kept += [[(c, "dim") for c in "  ⋮"], []]
        if not leaving:
            kept.append(line)
    return kept


def tspans(line):
    """A line's runs of one colour."""
    text, last, spans = "", None, []
    for character, colour in line + [("", None)]:
        if colour != last and text:
            weight = ' font-weight="bold"' if last == "bold" else ""
            spans.append(f'<tspan fill="{COLOURS[last]}"{weight}>'
                         f"{escape(text)}</tspan>")
            text = ""
        last = colour
        text += character
    return "".join(spans)


def draw(lines, title):
    width = max(map(len, lines)) * CHARACTER + 2 * MARGIN
    height = len(lines) * LINE + 2 * MARGIN
    yield (f'<svg xmlns="http://www.w3.org/2000/svg" '
           f'viewBox="0 0 {width:.0f} {height}" role="img" '
           f'font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, '
           f"'DejaVu Sans Mono', monospace\" font-size=\"13\">")
    yield f"<title>{escape(title)}</title>"
    yield (f'<rect width="{width:.0f}" height="{height}" rx="8" '
           f'fill="#151b23"/>')
    for number, line in enumerate(lines, 1):
        if line:
            yield (f'<text x="{MARGIN}" y="{MARGIN + number * LINE - 5}" '
                   f'xml:space="preserve">{tspans(line)}</text>')
    yield "</svg>"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--leave-out", action="append", default=[],
                        metavar="TEXT")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    arguments = parser.parse_args()
    if not arguments.command:
        parser.error("a command is missing")

    shown = " ".join(arguments.command)
    lines = leave_out(screen(run(arguments.command)), arguments.leave_out)
    while lines and not lines[-1]:
        lines.pop()
    prompt = [(character, "prompt") for character in "$ " + shown]
    print("\n".join(draw([prompt] + lines, shown)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
