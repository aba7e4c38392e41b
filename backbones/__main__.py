"""`python -m backbones` lists the zoo; `python -m backbones NAME` shows one row whole.

NAME may be the folder of an adapted backbone, or have sizes (dino_vits16@160). Imports neither
torch nor TensorFlow: the files are located by the rules of their places.
"""

import argparse
import sys
from dataclasses import asdict
from pathlib import Path

from tabulate import tabulate

from backbones import saved_models, weights
from backbones.row import Backbone, BackboneError, names, row


def main() -> int:
    """The exit status: 0, or 1 for a name that is not in the zoo."""
    parser = argparse.ArgumentParser("python -m backbones", description=__doc__)
    parser.add_argument(
        "name", nargs="*", help="show these rows whole; may be folders of adapted ones"
    )
    asked = parser.parse_args().name
    try:
        print("\n\n".join(sheet(row(name)) for name in asked) or listing())
    except BackboneError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def listing() -> str:
    """A line for each backbone; `here`: its weights are on this machine."""
    lines = []
    for it in map(row, names()):
        confirmed, here = "" if it.confirmed else "no", "yes" if _here(it) else ""
        line = [it.name, it.method, it.data, it.dim, it.input.size, it.licence, confirmed, here]
        lines.append(line)
    head = ["backbone", "method", "trained on", "dim", "pixels", "licence", "confirmed", "here"]
    return tabulate(lines, head, tablefmt="simple")


def sheet(backbone: Backbone) -> str:
    """Everything that is known of one backbone, a line each."""
    facts = {**asdict(backbone), "digest": backbone.digest}
    if not backbone.sizes:
        del facts["sizes"]
    facts["input"] = ", ".join(f"{key} {value}" for key, value in facts["input"].items())
    if backbone.loader == "adapted":
        facts["options"] |= {"base": backbone.options["base"]["name"]}
    facts["weights file"] = _where(backbone)
    return tabulate(facts.items(), tablefmt="plain")


def _place(backbone: Backbone) -> Path:
    return (saved_models if backbone.loader == "tfhub" else weights).place(backbone)


def _here(backbone: Backbone) -> bool:
    return backbone.weights == "none" or _place(backbone).exists()


def _where(backbone: Backbone) -> str:
    if backbone.weights == "none":
        return "needs none"
    path = _place(backbone)
    return f"{path} ({'here' if path.exists() else 'not here yet'})"


if __name__ == "__main__":
    sys.exit(main())
