"""Which backbones were adapted from which, and what tells them apart: one step a row of a table.

Runs that differ in nothing but their name and `seed` are one step; so are runs that begin with
runs of one step.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from pages.report.tables.settings import Setting

Runs = Mapping[str, Mapping[str, Any]]  # name: settings, as params.yaml has them
Key = str  # all settings but the seed, as text


class Step(NamedTuple):
    """base: the frozen backbone that it all began with; how: the objectives that followed, with
    what tells them apart, or that there were none; runs: the backbones that differ by seed."""

    base: str
    how: str
    runs: tuple[str, ...]
    frozen: bool


def steps(runs: Runs, dataset: str) -> list[Step]:
    """Those of one dataset: each base, then the runs that begin with it, then those that begin
    with these."""
    own = {name: run for name, run in runs.items() if run["dataset"] == dataset}
    groups: dict[Key, list[str]] = {}
    for name in own:
        groups.setdefault(_key(own, name), []).append(name)
    children: dict[str, list[Key]] = {}
    for key, names in groups.items():
        begins = own[names[0]]["backbone"]
        children.setdefault(_key(own, begins), []).append(key)
    out = []
    for base in [begins for begins in children if begins not in groups]:
        out.append(Step(base, "frozen", (base,), True))
        out += _below(base, base, "", own, groups, children)
    return out


def repeats(steps: Sequence[Step]) -> set[str]:
    """Runs that differ from another by seed alone: one of each step is drawn, these are not."""
    return {name for step in steps for name in step.runs[1:]}


def apart(settings: Sequence[Setting], steps: Sequence[Step]) -> list[Setting]:
    """Those without the adapted backbones, which have a table of their own; all, if it is only
    these."""
    changed = {name for step in steps if not step.frozen for name in step.runs}
    return [s for s in settings if s.backbone not in changed] or list(settings)


def taught(runs: Runs, knowing: Sequence[str], dataset: str) -> list[str]:
    """The backbones that have seen the known labels of a dataset, themselves or before."""
    return [
        name
        for name in runs
        if any(one in knowing and runs[one]["dataset"] == dataset for one in _line(runs, name))
    ]


def said(taught: Sequence[str], shown: Sequence[str]) -> str:
    """Which of the backbones that are `shown` have seen labels: to compare the others with them is
    not fair."""
    here = [name for name in dict.fromkeys(shown) if name in taught]
    if not here:
        return ""
    names = ", ".join(here) if len(here) < 4 else f"{here[0]} and {len(here) - 1} more"
    return f" {names} had learned from the known labels before any method was run."


def _below(
    begins: str, base: str, how: str, own: Runs, groups: Mapping[Key, list[str]],
    children: Mapping[str, list[Key]],
) -> Iterator[Step]:  # fmt: skip
    siblings = children.get(begins, [])
    for key in siblings:
        named = how + (" → " if how else "") + _what(own, key, siblings, groups)
        yield Step(base, named, tuple(groups[key]), False)
        yield from _below(key, base, named, own, groups, children)


def _what(own: Runs, key: Key, siblings: Sequence[Key], groups: Mapping[Key, list[str]]) -> str:
    """The objective of a step, and the settings in which its siblings of that objective differ."""
    run = own[groups[key][0]]
    alike = [own[groups[other][0]] for other in siblings]
    alike = [other for other in alike if other["objective"] == run["objective"]]
    differ = [
        f"{name} {_text(value)}"
        for name, value in run.items()
        if name not in ("seed", "backbone") and any(other.get(name) != value for other in alike)
    ]
    return ", ".join([run["objective"], *differ])


def _key(runs: Runs, name: str) -> Key:
    """A run without its name and seed, a base that is no run by its name."""
    if name not in runs:
        return name
    line = [runs[one] for one in _line(runs, name)]
    plain = [
        {what: value for what, value in run.items() if what not in ("seed", "backbone")}
        for run in line
    ]
    return json.dumps([*plain, line[-1]["backbone"]], sort_keys=True)


def _line(runs: Runs, name: str) -> list[str]:
    """The run, the one that it begins with, and so on."""
    out: list[str] = []
    while name in runs and name not in out:
        out.append(name)
        name = runs[name]["backbone"]
    return out


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value).lower()
