#!/usr/bin/python3
"""How much of a limit a program can use, by use.c, for blocks of several sizes and two limits.

    tests/limits/use.py [--without-command] [--build DIRECTORY]

The base is what the process has resident before it allocates anything (RssAnon, its own tables included). Live blocks must
come to 97 % of the limit less that, and of what lies in pages without a live block after most blocks were freed, 97 %
must be there for blocks of another size class."""

import argparse
import os
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True

import limited

SHARE = 0.97
# Each with the size that is allocated in its place.
SIZES = {64: 300, 100: 5000, 300: 64, 1000: 70000, 5000: 100, 70000: 1000, 1 << 20: 300}
# Of classes whose blocks leave most of a span unused behind the last (tests/span/size_classes.c looks at all classes): at the
# smaller limit only, for there the most is lost.
WASTEFUL = {832: 3328, 1408: 2816, 2304: 5632, 2560: 100, 2816: 64, 3328: 1408, 5632: 2304, 6656: 832, 11264: 300}
COLUMNS = "{:>8} {:>5} {:>10} {:>11} {:>7} {:>11} {:>11} {:>7}  {}"


def measure(options, directory, size, limit):
    command = [*limited.prefix(options, f"{limit}M", directory), options.program, str(size), str({**SIZES, **WASTEFUL}[size]),
               str(limit << 20)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    words = done.stdout.split()
    if done.returncode != 0 or len(words) != 5:
        raise RuntimeError(f"status {done.returncode}: {done.stderr.strip()[:300]}")
    return [int(word) for word in words]


def row(options, directory, size, limit):
    """Prints one row; whether both claims hold."""
    try:
        base, usable, emptied, again, denied = measure(options, directory, size, limit)
    except (RuntimeError, subprocess.TimeoutExpired) as problem:
        print(f"{size:>8} {limit:>5} FAIL: {problem}")
        return False
    used, regained = usable / ((limit << 20) - base), again / max(emptied, 1)
    good = used >= SHARE and regained >= SHARE and denied and emptied > 0
    verdict = "ok" if good else "FAIL" if denied else "FAIL: not denied"
    print(COLUMNS.format(size, limit, base, usable, f"{used:.2%}", emptied, again, f"{regained:.2%}", verdict),
          flush=True)
    return good


def main():
    parser = argparse.ArgumentParser(description="how much of a limit can be used")
    limited.add_arguments(parser)
    options = parser.parse_args()
    options.program = os.path.join(options.build, "tests", "limits", "use")
    print(COLUMNS.format("size", "MiB", "base", "in blocks", "used", "in empty", "had again", "share", ""))
    with tempfile.TemporaryDirectory(prefix="limits-") as directory:
        rows = [row(options, directory, size, limit)
                for limit, sizes in ((64, [*SIZES, *WASTEFUL]), (128, SIZES)) for size in sizes]
    print(f"{sum(rows)} passed, {len(rows) - sum(rows)} failed")
    sys.exit(not all(rows))


if __name__ == "__main__":
    main()
