#!/usr/bin/python3
"""What a limit costs that is never met: instructions of programs of one thread, with and without `--limit`.

    tests/limits/cost.py [--without-command] [--build DIRECTORY]

Instructions are counted by callgrind, which leaves the program's malloc alone and runs the same on every machine.
Under valgrind there is no rseq, so every malloc and free takes the slow path, where a limit's accounting is; natively
most calls stay on the fast path, whose instructions a limit doesn't change (tests/packaging/hot_path.sh). The ratio
found here is so an upper bound of the native one in the share of calls that reach accounting."""

import argparse
import glob
import os
import re
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True

import limited

MOST = 1.005
PYTHON = "d = {}\nfor i in range(12000): d[str(i)] = [i] * (i % 40)\nprint(sum(len(v) for v in d.values()))"
PERL = "my %h; for my $i (1 .. 12000) { $h{$i} = 'x' x ($i % 300); } my $n = 0; $n += length for values %h; print \"$n\\n\";"
LUA = "local t = {} for i = 1, 30000 do t[i] = {tostring(i), i} end local n = 0 for _, v in ipairs(t) do n = n + #v[1] end print(n)"
SQL = ("CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT); INSERT INTO t SELECT value, hex(value) || value FROM "
       "generate_series(1, 6000); CREATE INDEX i ON t(b); SELECT count(*), max(b), sum(length(b)) FROM t;")


def programs(build):
    return {
        "c": [os.path.join(build, "tests", "limits", "cost")],
        "python3": ["/usr/bin/python3", "-S", "-c", PYTHON],
        "perl": ["/usr/bin/perl", "-e", PERL],
        "lua": ["/usr/bin/lua5.4", "-e", LUA],
        "sqlite3": ["/usr/bin/sqlite3", ":memory:", SQL],
    }


def count(options, command, limit):
    """The program's instructions, and what it put out. `ration run` may stay as its parent: only the program's own
    count is read."""
    with tempfile.TemporaryDirectory(prefix="limits-") as directory:
        run = [*limited.prefix(options, limit, directory), *command]
        valgrind = ["valgrind", "--tool=callgrind", "--trace-children=yes", f"--callgrind-out-file={directory}/%p.out"]
        variables = dict(os.environ, PYTHONMALLOC="malloc", PYTHONHASHSEED="0", PERL_HASH_SEED="0", LC_ALL="C")
        done = subprocess.run(valgrind + run, env=variables, capture_output=True, timeout=900, check=False)
        if done.returncode != 0:
            raise RuntimeError(done.stderr.decode(errors="replace")[-400:])
        for name in glob.glob(os.path.join(directory, "*.out")):
            with open(name, encoding="utf-8", errors="replace") as file:
                text = file.read()
            ran = re.search(r"^cmd: +(\S+)", text, re.MULTILINE)
            total = re.search(r"^(?:totals|summary): (\d+)", text, re.MULTILINE)
            if ran and total and ran.group(1) == command[0]:
                return int(total.group(1)), done.stdout
    raise RuntimeError("callgrind wrote no figures of the program")


def compare(options, command):
    """The least of up to three counts each: a program that hashes by time or address has no two runs alike."""
    without = with_limit = None
    for _ in range(3):
        count_without, expected = count(options, command, "")
        count_limited, output = count(options, command, "4G")
        if output != expected:
            raise RuntimeError("the output differs")
        without = min(count_without, without or count_without)
        with_limit = min(count_limited, with_limit or count_limited)
        if with_limit <= without * MOST:
            break
    return without, with_limit


def check(options, name, command):
    try:
        without, with_limit = compare(options, command)
    except (RuntimeError, subprocess.TimeoutExpired) as problem:
        print(f"FAIL {name}: {problem}")
        return False
    good = with_limit <= without * MOST
    print(f"{'ok  ' if good else 'FAIL'} {name}: {without} instructions, {with_limit} with a limit, "
          f"{with_limit / without:.5f}", flush=True)
    return good


def main():
    parser = argparse.ArgumentParser(description="what a limit costs that is never met")
    limited.add_arguments(parser)
    options = parser.parse_args()
    results = [check(options, name, command) for name, command in programs(os.path.abspath(options.build)).items()]
    print(f"{sum(results)} passed, {len(results) - sum(results)} failed")
    sys.exit(not all(results))


if __name__ == "__main__":
    main()
