"""The arithmetic of the tables: medians, paired ratios, geometric means and their bootstrap intervals.

A sample is a list with one figure for each round, None where the allocator did not run or did not end well."""
import dataclasses
import math
import random
import statistics

RESAMPLES = 1000


@dataclasses.dataclass
class Ratio:
    value: float
    low: float
    high: float

    def __str__(self):
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def present(sample):
    return [figure for figure in sample if figure is not None]


def median(sample):
    figures = present(sample)
    return statistics.median(figures) if figures else None


def geometric_mean(figures):
    return math.exp(sum(map(math.log, figures)) / len(figures)) if figures else None


def pairs(ours, theirs):
    """The ratio in each round in which both ran: what disturbs a round disturbs both halves of its pair."""
    return [a / b for a, b in zip(ours, theirs) if a is not None and b is not None and b > 0]


def interval(ratios_of_rows):
    """Ratio of the geometric mean, over rows, of the median paired ratio; the rounds are resampled row by row."""
    ratios_of_rows = [ratios for ratios in ratios_of_rows if ratios]
    if not ratios_of_rows:
        return None
    chance = random.Random(1)
    resampled = sorted(
        geometric_mean([statistics.median(chance.choices(ratios, k=len(ratios))) for ratios in ratios_of_rows])
        for _ in range(RESAMPLES))
    value = geometric_mean([statistics.median(ratios) for ratios in ratios_of_rows])
    return Ratio(value, resampled[int(RESAMPLES * 0.025)], resampled[int(RESAMPLES * 0.975) - 1])


def row_ratio(ours, theirs):
    return interval([pairs(ours, theirs)])


def best_of(samples, names):
    """The name with the lowest median; None if none ran."""
    medians = {name: median(samples[name]) for name in names if median(samples.get(name, [])) is not None}
    return min(medians, key=medians.get) if medians else None
