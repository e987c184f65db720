"""ration-gdb.py: looks into Ration from gdb: what an address is.

Load it with `source ration-gdb.py`, then `ration address ADDRESS`. It works on a stopped program and on a core, and
calls nothing in either. It reads the library's own structures by their debug information: a span through the page map
(src/span/span.h), the threads' caches through the list of threads (src/heap/heap.h). Start at RationAddress.
"""

import gdb

PAGE_BYTES = 4096  # pages are counted in 4 KiB, whatever the system's page is


def variable(file, name):
    """A variable of the library; with its file, since the program may have one of the same name."""
    try:
        return gdb.parse_and_eval("'%s'::%s" % (file, name))
    except gdb.error:
        raise gdb.GdbError("Ration is not in this program, or has no debug information (%s is missing)" % name)


def constant(name):
    try:
        return int(gdb.parse_and_eval(name))
    except gdb.error:
        raise gdb.GdbError("Ration has no debug information (%s is missing)" % name)


def linked(first, link="next"):
    """The structures of a list, from a pointer to the first."""
    while int(first) != 0:
        yield first
        first = first[link]


def span_of(address):
    """The span that the address lies in, or None where it is nothing of Ration's."""
    if address >> 32 >= constant("PAGE_MAP_ROOT"):
        return None
    leaf = variable("src/span/page_map.c", "page_map")[address >> 32]
    if int(leaf) == 0:
        return None
    number = int(leaf[(address & 0xFFFFFFFF) >> constant("GRANULE_SHIFT")]["span"])
    shift = constant("SPAN_TABLE_SHIFT")
    table = variable("src/span/page_map.c", "span_tables")[number >> shift]
    return None if number == 0 else table[number & ((1 << shift) - 1)]


def caching_thread(block, heap, class_index):
    """The kernel's id of the thread in whose cache a free block waits, or None."""
    for thread in linked(variable("src/heap/thread.c", "threads")):
        for cache in linked(thread["caches"]):
            place = cache["top"][class_index] - 1
            while int(cache["heap"]) == int(heap) and int(place.dereference()) != 0:  # a NULL lies below the bottom
                if int(place.dereference()) == block:
                    return int(thread["id"])
                place -= 1
    return None


class Block:
    """The block of a small span that an address lies in."""

    def __init__(self, span, address):
        self.span = span
        size_class = variable("src/span/size_class.c", "size_classes")[int(span["class_index"])]
        self.size, self.capacity = int(size_class["size"]), int(size_class["capacity"])
        self.offset = (address - int(span["start"])) // self.size * self.size
        self.index = self.offset // self.size
        self.start = int(span["start"]) + self.offset

    def is_purged(self):
        pages = range(self.offset // PAGE_BYTES, (self.offset + self.size - 1) // PAGE_BYTES + 1)
        return any(int(self.span["purged"]) >> page & 1 for page in pages)

    def state(self):
        """What the block is, in a few words: before the word "block", and after it."""
        if self.index >= int(self.span["carved"]):
            return "never used", ""
        if int(self.span["free_blocks"][self.index // 64]) >> self.index % 64 & 1:
            return "free", ", its page returned to the system" if self.is_purged() else ""
        thread = caching_thread(self.start, self.span["heap"], int(self.span["class_index"]))
        return ("live", "") if thread is None else ("free", ", cached by thread %d" % thread)


def place(address, start, what):
    return "the start of %s" % what if address == start else "%d bytes into %s" % (address - start, what)


def size_text(size):
    """In the largest unit that gives a whole number."""
    for unit, factor in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if size >= factor and size % factor == 0:
            return "%d %s" % (size // factor, unit)
    return "%d bytes" % size


def span_lines(span, kind):
    lines = []
    if kind != "free":
        lines.append("heap   %s" % span["heap"]["name"].string())
    size = int(span["granules"]) << constant("GRANULE_SHIFT")
    lines.append("span   %d, %s, 0x%x, %s" % (int(span["id"]), kind, int(span["start"]), size_text(size)))
    return lines


def describe_small(address, span):
    block = Block(span, address)
    if block.index >= block.capacity:
        return ["behind the last block of a span"] + span_lines(span, "small")
    before, after = block.state()
    what = "0x%x, %s, number %d of %d" % (block.start, size_text(block.size), block.index + 1, block.capacity)
    title = place(address, block.start, "a %s block%s" % (before, after))
    return [title, "block  " + what] + span_lines(span, "small")


def describe_large(address, span):
    start, size = int(span["start"]), int(span["size"])
    if address >= start + size:
        return ["behind a large block"] + span_lines(span, "large")
    title = place(address, start, "a live block")
    return [title, "block  0x%x, %s" % (start, size_text(size))] + span_lines(span, "large")


def describe(address):
    """Lines about an address, the first being the answer."""
    span = span_of(address)
    state = constant("SPAN_UNUSED") if span is None else int(span["state"])
    if state == constant("SPAN_SMALL"):
        return describe_small(address, span)
    if state == constant("SPAN_LARGE"):
        return describe_large(address, span)
    if state == constant("SPAN_FREE"):
        return ["in free memory"] + span_lines(span, "free")
    return ["not Ration's"]


class Ration(gdb.Command):
    """Look into Ration, the memory manager."""

    def __init__(self):
        super().__init__("ration", gdb.COMMAND_DATA, gdb.COMPLETE_NONE, True)


class RationAddress(gdb.Command):
    """Tell what an address is to Ration: ration address EXPRESSION

The answer is where it lies: in a live, free or never used block (and who has a free one cached), in free memory,
or in nothing of Ration's. Below it stand the block, its size class, the heap that owns it, and its span."""

    def __init__(self):
        super().__init__("ration address", gdb.COMMAND_DATA, gdb.COMPLETE_EXPRESSION)

    def invoke(self, argument, from_tty):
        if not argument:
            raise gdb.GdbError("ration address: which one?")
        value = gdb.parse_and_eval(argument)
        if value.type.strip_typedefs().code == gdb.TYPE_CODE_ARRAY:
            value = value.address
        address = int(value.cast(gdb.lookup_type("unsigned long")))
        title, *lines = describe(address)
        print("\n  ".join(["0x%x: %s" % (address, title)] + lines))


Ration()
RationAddress()
