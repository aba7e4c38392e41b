"""What a walk through a folder met, and what of it a user should know."""

from collections import Counter
from dataclasses import dataclass, field

from images._kinds_of_file import RAW, counted
from images._names import Names

CLASSES_AT = 2  # folders below the root that a class may be: SPLIT/CLASS


@dataclass
class Found:
    """What was found under a folder.

    names: of the images, sorted; folders: that were walked, down to CLASSES_AT; others: by such a
    folder, how many files of each suffix are no images; by_content: suffixes of images that only
    their bytes tell; system: names of folders that are a system's; excluded: by pattern.
    """

    names: Names = field(default_factory=lambda: Names(()))
    folders: set[str] = field(default_factory=set)
    others: dict[str, Counter[str]] = field(default_factory=dict)
    by_content: Counter[str] = field(default_factory=Counter)
    system: Counter[str] = field(default_factory=Counter)
    excluded: Counter[str] = field(default_factory=Counter)

    def left_out(self, within: str = "") -> Counter[str]:
        """Suffixes of the files in a folder, and those below it, that are no images."""
        found: Counter[str] = Counter()
        for folder, others in self.others.items():
            if not within or f"{folder}/".startswith(f"{within}/"):
                found += others
        return found

    def notes(self) -> tuple[str, ...]:
        """What a user should know of it, a line each."""
        others, lines = self.left_out(), list[str]()
        if self.by_content:
            lines.append(f"read by their content: {counted(self.by_content)}")
        if others:
            raw = sorted(f".{word}" for word in others.keys() & RAW)
            way = f" (develop {', '.join(raw)} to JPEG, PNG or TIFF to have them)" if raw else ""
            lines.append(f"left out: {counted(others)}{way}")
        if self.system:
            each = (f"{name} ({n})" if n > 1 else name for name, n in sorted(self.system.items()))
            lines.append(f"folders of the system left out: {', '.join(each)}")
        if self.excluded:
            each = (f"{n} by {pattern}" for pattern, n in self.excluded.items() if n)
            lines.append(f"files and folders excluded: {', '.join(each) or 'none'}")
        if idle := [pattern for pattern, n in self.excluded.items() if not n]:
            odd = any(set(pattern) & set("\\") or pattern[0] == "/" for pattern in idle)
            way = " (paths begin below root, and have / in between)" if odd else ""
            lines.append(f"exclude: nothing is called {', '.join(idle)}{way}")
        return tuple(lines)
