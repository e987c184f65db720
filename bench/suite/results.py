"""What a run of the suite has found: samples by measure, row and allocator, and every run that went wrong.

A measure is "cpu" (seconds), "resident" (MiB), "hot" (nanoseconds), or "footprint", "heaps" and "arenas"
(whose rows tell the unit)."""
import json
import os
import platform

from . import contests, figures

MEASURES = ("cpu", "resident", "hot", "footprint", *contests.GROUPS)


class Results:
    def __init__(self, allocators, shares, threshold, method):
        self.names = [allocator.name for allocator in allocators]
        self.peers = [allocator.name for allocator in allocators if not allocator.extra]
        self.shares = shares
        self.threshold = threshold
        self.method = method
        self.samples = {measure: {} for measure in MEASURES}
        self.troubles = []
        self.rounds = 0

    def add(self, measure, row, allocator, value):
        sample = self.samples[measure].setdefault(row, {}).setdefault(allocator, [])
        sample += [None] * (self.rounds - len(sample)) + [value]

    def add_trouble(self, row, allocator, text):
        self.troubles.append({"round": self.rounds + 1, "row": row, "allocator": allocator, "trouble": text})

    def rows(self, measure):
        return list(self.samples[measure])

    def median(self, measure, row, allocator):
        return figures.median(self.samples[measure].get(row, {}).get(allocator, []))

    def is_sensitive(self, row):
        return self.shares.get(row, 0.0) >= self.threshold

    def failed_rows(self, allocator):
        return sorted({trouble["row"] for trouble in self.troubles if trouble["allocator"] == allocator})

    def complete_rows(self, measure, names, keep=lambda row: True):
        """Rows in which all of these allocators have a figure: means over different rows can't be compared."""
        return [row for row in self.rows(measure)
                if keep(row) and all(self.median(measure, row, name) is not None for name in names)]

    def ratio(self, measure, row, ours, theirs):
        of_row = self.samples[measure].get(row, {})
        return figures.row_ratio(of_row.get(ours, []), of_row.get(theirs, []))

    def mean_ratio(self, measure, ours, theirs, keep=lambda row: True):
        """Ratio of geometric means over the rows in which both ended well."""
        rows = self.complete_rows(measure, (ours, theirs), keep)
        samples = self.samples[measure]
        return figures.interval([figures.pairs(samples[row][ours], samples[row][theirs]) for row in rows])

    def best(self, measure, row, names):
        return figures.best_of(self.samples[measure].get(row, {}), names)

    def write(self, path):
        whole = {"machine": machine(), "rounds": self.rounds, "allocators": self.names, "sensitivity": self.method,
                 "shares": self.shares, "samples": self.samples, "troubles": self.troubles}
        with open(path, "w") as file:
            json.dump(whole, file, indent=1)


def machine():
    model = platform.machine()
    with open("/proc/cpuinfo") as info:
        for line in info:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    return f"{model}, {os.cpu_count()} cores, Linux {platform.release()}"
