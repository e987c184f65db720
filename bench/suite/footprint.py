"""The footprint rows: what one malloc costs, what a thinned heap keeps, how much of a limited address space is usable.

Start at Footprint.measure(), which runs one allocator once and adds to its figures."""
import itertools

from . import rows
from .allocators import Allocator

LIMIT_KIB = 300000
ONE_MALLOC, THINNED, REFILLED, ROOM_FIRST, ROOM_SECOND, ROOM_ASKED = (
    "footprint:one-malloc", "footprint:thinned", "footprint:refilled", "footprint:room", "footprint:room-again",
    "footprint:room-asked-for")
EMPTY = "empty library"


class Footprint:
    def __init__(self, runner, binaries):
        self.runner = runner
        self.binaries = binaries
        self.empty = Allocator(EMPTY, str(binaries / "libempty.so"))
        self.room_kib = LIMIT_KIB - int(self.output(self.empty, "address_space", "0", "0", "0").output)

    def output(self, allocator, program, *arguments, limit_kib=0):
        row = rows.Row(f"footprint:{program}", "footprint", [str(self.binaries / program), *arguments])
        return self.runner.run(row, allocator, limit_kib)

    def one_malloc(self, allocator):
        """KiB resident, and what went wrong."""
        run = self.output(allocator, "one_malloc")
        return {ONE_MALLOC: None if run.trouble else int(run.output)}, run.trouble

    def thinned(self, allocator):
        run = self.output(allocator, "thinned")
        after, again = (None, None) if run.trouble else map(float, run.output.split())
        return {THINNED: after, REFILLED: again}, run.trouble

    def room(self, allocator):
        """Percentages of the room that is left to an empty process, the worst of all pairs of sizes."""
        first, second, asked, trouble = [], [], [], ""
        for sizes in itertools.permutations(rows.ROOM_SIZES, 2):
            run = self.output(allocator, "address_space", str(self.room_kib), *map(str, sizes), limit_kib=LIMIT_KIB)
            if run.trouble:
                trouble = f"{sizes[0]} then {sizes[1]} bytes: {run.trouble}"
                continue
            usable_first, asked_first, usable_second, asked_second = map(float, run.output.split())
            first.append(usable_first)
            second.append(usable_second)
            asked += [asked_first, asked_second]
        if trouble:
            return {ROOM_FIRST: None, ROOM_SECOND: None, ROOM_ASKED: None}, trouble
        return {ROOM_FIRST: min(first), ROOM_SECOND: min(second), ROOM_ASKED: min(asked)}, trouble
