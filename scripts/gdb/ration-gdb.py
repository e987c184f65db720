"""ration-gdb.py: looks into Ration from gdb: what an address is.

Load it with `source ration-gdb.py`, then `ration address ADDRESS`. It works on a stopped program and on a core, and
calls nothing in either. It reads the library's own structures by their debug information: a span through the page map
(src/span/span.h), what threads keep through the list of threads (src/heap/heap.h), and a checked block's seal with
the secret that is in the program (src/heap/hardened.c). Start at RationAddress.
"""

import gdb

PAGE_BYTES = 4096  # pages are counted in 4 KiB, whatever the system's page is
WORD = 0xFFFFFFFFFFFFFFFF
SEALED_FREE = -1


def variable(file, name):
    """A variable or constant that a file of the library sees; the program may have one of the same name."""
    try:
        return gdb.parse_and_eval("'%s'::%s" % (file, name))
    except gdb.error:
        raise gdb.GdbError("Ration is not in this program, or has no debug information (%s is missing)" % name)


def in_page_map(name):
    return variable("src/span/page_map.c", name)


def in_hardened(name):
    return variable("src/heap/hardened.c", name)


def linked(first, link="next"):
    """The structures of a list, from a pointer to the first."""
    while int(first) != 0:
        yield first
        first = first[link]


def untagged(address):
    """arm64 ignores the top byte of an address, and so does Ration."""
    return address & (WORD >> 8) if "aarch64" in gdb.selected_inferior().architecture().name() else address


# --- address -> span


def page_entry(address):
    """The page map's word on an address, or None where it has none."""
    page_map = in_page_map("page_map")
    if address >> 32 >= int(in_page_map("PAGE_MAP_ROOT")):
        return None
    distance = int(page_map["leaf"][address >> 32])
    if distance == 0:
        return None
    nobodys = page_map["nobodys"]
    leaf = gdb.Value(int(nobodys.address) + distance).cast(nobodys[0].type.pointer())
    return leaf[(address & 0xFFFFFFFF) >> int(in_page_map("GRANULE_SHIFT"))]


def span_of_id(number):
    shift = int(in_page_map("SPAN_TABLE_SHIFT"))
    return in_page_map("span_tables")[number >> shift][number & ((1 << shift) - 1)]


def span_bytes(span):
    return int(span["granules"]) << int(in_page_map("GRANULE_SHIFT"))


def free_span_of(address):
    """Only the ends of a free span name it in the page map, so it is looked for among all that are free."""
    page_heap = variable("src/span/page_heap.c", "heap")
    for bins in page_heap["free"]["clean"], page_heap["free"]["dirty"]:
        first, last = bins["first"].type.range()
        for number in range(first, last + 1):
            for span in linked(bins["first"][number]):
                if 0 <= address - int(span["start"]) < span_bytes(span):
                    return span
    return None


# --- what threads keep


def thread_name(thread):
    """By gdb's number; by pthread_self() where gdb does not know which thread that is."""
    own = int(thread["self"])
    for candidate in gdb.selected_inferior().threads():
        try:
            if int.from_bytes(candidate.handle(), "little") == own:
                return "thread %d" % candidate.num
        except gdb.error:
            pass  # gdb has no handle for this one
    return "thread 0x%x" % own


def is_cached(thread, block, span):
    for cache in linked(thread["caches"]):
        place = cache["top"][int(span["class_index"])] - 1
        while int(cache["heap"]) == int(span["heap"]) and int(place.dereference()) != 0:  # a NULL lies below the bottom
            if int(place.dereference()) == block:
                return True
            place -= 1
    return False


def is_quarantined(thread, block):
    quarantine = thread["quarantine"]
    return int(quarantine) != 0 and any(int(quarantine[i]) == block for i in range(int(in_hardened("QUARANTINE"))))


def keeper(block, span):
    """Who keeps a free block, in words, or None where nobody does."""
    for thread in linked(variable("src/heap/thread.c", "threads")):
        if is_cached(thread, block, span):
            return "cached by %s" % thread_name(thread)
        if is_quarantined(thread, block):
            return "in the quarantine of %s" % thread_name(thread)
    return None


# --- small blocks


def read_bytes(address, count):
    return bytes(gdb.selected_inferior().read_memory(address, count))


def asked_size(block, size, turn):
    """What was asked for, SEALED_FREE, or None where the end was overwritten; as src/heap/hardened.c tells it."""

    def mix(x):
        x = x * 0x9E3779B97F4A7C15 & WORD
        return x ^ x >> 32

    secret = int(in_hardened("hardened_secret"))
    key = mix(block ^ secret ^ turn << 40 & WORD)
    room = size - int(in_hardened("HARDENED_SEAL"))
    seal = int.from_bytes(read_bytes(block + room, size - room), "little") ^ key
    content = seal & int(in_hardened("CONTENT_MASK"))
    proof = (key ^ content) * 0xD1342543DE82EF95 & WORD
    if seal != proof << int(in_hardened("CONTENT_BITS")) & WORD | content:
        return None
    if content & int(in_hardened("FREED")):
        return SEALED_FREE
    canary = mix(block ^ secret) >> 24 & 0xFF | 1
    return content if set(read_bytes(block + content, room - content)) <= {canary} else None


class Block:
    """The block of a small span that an address lies in."""

    def __init__(self, span, address):
        self.span = span
        size_class = variable("src/span/size_class.c", "size_classes")[int(span["class_index"])]
        self.size, self.capacity = int(size_class["size"]), int(span["capacity"])
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
        kept = keeper(self.start, self.span)
        if kept is not None:
            return "free", ", " + kept
        return ("live", "") if int(self.span["hardened"]) == 0 else self.sealed_state()

    def sealed_state(self):
        asked = asked_size(self.start, self.size, int(self.span["turn"]))
        if asked == SEALED_FREE:
            return "free", ""
        return "live", " whose end was overwritten" if asked is None else " for which %d bytes were asked" % asked


# --- answers


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
    lines.append("span   %d, %s, 0x%x, %s" % (int(span["id"]), kind, int(span["start"]), size_text(span_bytes(span))))
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


def describe_guarded(address, span):
    """A large block with guards before and behind it; freed ones are all guard for a while."""
    start, asked = int(span["start"]) + int(span["front"]), int(span["asked"])
    if asked == int(variable("src/heap/hardened_large.c", "WAITING")):
        return [place(address, start, "a free block that waits for a while")] + span_lines(span, "large")
    if address < start:
        title = "%d bytes before a live block" % (start - address)
    elif address < start + asked:
        title = place(address, start, "a live block")
    else:
        title = "%d bytes behind the end of a live block" % (address - start - asked)
    return [title, "block  0x%x, %s" % (start, size_text(asked))] + span_lines(span, "large")


def describe(address):
    """Lines about an address, the first being the answer."""
    entry = page_entry(address)
    tag = 0 if entry is None else int(entry["tag"])
    if tag == 0:
        return ["not Ration's"]
    if tag & 0xFF == int(in_page_map("TAG_FREE")):
        span = free_span_of(address)
        return ["in free memory"] + ([] if span is None else span_lines(span, "free"))
    span = span_of_id(int(entry["span"]))
    if tag & 0xFF != int(in_page_map("TAG_LARGE")):
        return describe_small(address, span)
    return (describe_guarded if int(span["hardened"]) else describe_large)(address, span)


class Ration(gdb.Command):
    """Look into Ration, the memory manager."""

    def __init__(self):
        super().__init__("ration", gdb.COMMAND_DATA, gdb.COMPLETE_NONE, True)


class RationAddress(gdb.Command):
    """Tell what an address is to Ration: ration address EXPRESSION

The answer is where it lies: in a live, free or never used block (and which thread keeps a free one), in free memory,
or in nothing of Ration's. Below it stand the block with its size, the heap that owns it, and its span."""

    def __init__(self):
        super().__init__("ration address", gdb.COMMAND_DATA, gdb.COMPLETE_EXPRESSION)

    def invoke(self, argument, from_tty):
        if not argument:
            raise gdb.GdbError("ration address: which one?")
        value = gdb.parse_and_eval(argument)
        if value.type.strip_typedefs().code == gdb.TYPE_CODE_ARRAY:
            value = value.address
        address = untagged(int(value.cast(gdb.lookup_type("unsigned long"))))
        title, *lines = describe(address)
        print("\n  ".join(["0x%x: %s" % (address, title)] + lines))


Ration()
RationAddress()
