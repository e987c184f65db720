"""Runs commands under allocators and keeps what they used. Start at Runner.run(); interleave() orders a suite."""
import dataclasses
import hashlib
import os
import signal
import subprocess
import sys
import tempfile


@dataclasses.dataclass
class Run:
    cpu: float = 0.0  # user + system seconds of the whole process tree
    resident: float = 0.0  # peak MiB of its largest process
    output: bytes = b""
    trouble: str = ""  # why this run does not count; empty if it does


class Runner:
    def __init__(self, binaries, scratch):
        self.binaries = binaries
        self.launch = str(binaries / "launch")
        self.scratch = scratch
        self.expected = {}  # row name: digest of the output of its first good run

    def environment(self, row, allocator):
        kept = {name: os.environ[name] for name in ("PATH",) if name in os.environ}
        return {**kept, "HOME": str(self.scratch), "LANG": "C.UTF-8", "TMPDIR": str(self.scratch),
                **row.environment, **allocator.environment}

    def run(self, row, allocator, address_space_kib=0):
        """One run. A hang, a crash, or an output unlike the first allocator's is told in Run.trouble."""
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors, \
                open(row.stdin or os.devnull, "rb") as stdin:
            reader, writer = os.pipe()
            command = [self.launch, str(writer), allocator.library, str(address_space_kib), *allocator.before, *row.command]
            process = subprocess.Popen(command, env=self.environment(row, allocator), stdin=stdin, stdout=output,
                                       stderr=errors, pass_fds=[writer], start_new_session=True, cwd=self.scratch)
            os.close(writer)
            hung = wait_or_kill(process, row.timeout)
            with os.fdopen(reader) as report:
                figures = report.read().split() if not hung else []
            output.seek(0)
            errors.seek(0)
            return self.judge(row, figures, output.read(), errors.read(), hung)

    def judge(self, row, figures, output, errors, hung):
        if hung:
            return Run(trouble=f"hung for {row.timeout:.0f} s")
        if len(figures) != 5:
            return Run(trouble="did not start: " + last_line(errors))
        status, user, system, resident_kib, _ = map(int, figures)
        result = Run((user + system) / 1e6, resident_kib / 1024, output)
        if os.WIFSIGNALED(status):
            result.trouble = f"crashed ({signal.Signals(os.WTERMSIG(status)).name}): " + last_line(errors)
        elif os.WEXITSTATUS(status):
            result.trouble = f"failed with {os.WEXITSTATUS(status)}: " + last_line(errors)
        elif row.group in ("workloads", "programs"):
            digest = hashlib.sha256(output).hexdigest()
            if self.expected.setdefault(row.name, digest) != digest:
                result.trouble = "printed something else than under the first allocator"
        return result


def wait_or_kill(process, timeout):
    """True if the process had to be killed; all that it started goes with it."""
    try:
        process.wait(timeout)
        return False
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return True


def last_line(text):
    lines = text.decode(errors="replace").strip().splitlines()
    return lines[-1][:120] if lines else "no message"


def interleave(allocators, rounds):
    """For each round the allocators in an order of its own, so that none always runs first or after the same one."""
    for turn in range(rounds):
        yield turn, [allocator for allocator in order_of(allocators, turn) if turn % allocator.every == 0]


def order_of(contenders, turn):
    shift = turn % len(contenders)
    turned = contenders[shift:] + contenders[:shift]
    return turned if turn // len(contenders) % 2 == 0 else turned[::-1]


def say(text):
    print(text, file=sys.stderr, flush=True)
