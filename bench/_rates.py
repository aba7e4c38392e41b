"""How many images a second: ways taken by turns, and the rows of a table that compare them."""

import time
from collections.abc import Callable
from statistics import median
from typing import Any

Rates = dict[str, list[float]]  # of each way, in every round


def images_per_second(ways: dict[str, Callable[[], object]], number: int, rounds: int) -> Rates:
    """Each way by turns, after one round that counts for nothing."""
    rates: Rates = {name: [] for name in ways}
    for at in range(rounds + 1):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            if at:
                rates[name].append(number / (time.perf_counter() - start))
    return rates


def line(part: str, backbone: str, way: str, rates: Rates, over: str = "") -> dict[str, Any]:
    """A row of the table; without `over`, a rate alone."""
    ratios = [a / b for a, b in zip(rates[way], rates[over], strict=True)] if over else []
    return {
        "part": part, "backbone": backbone, "way": way, "images_s": round(median(rates[way]), 1),
        "over": over,
        "ratio": round(median(ratios), 3) if over else "",
        "least": round(min(ratios), 3) if over else "",
        "most": round(max(ratios), 3) if over else "",
    }  # fmt: skip
