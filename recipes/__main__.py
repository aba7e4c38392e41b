"""`python -m recipes` lists the recipes, `python -m recipes cub` puts one into params.yaml, and
`python -m recipes compare` prints what papers say beside the scores of this project."""

import argparse
import os
import sys
from pathlib import Path

import yaml

from recipes import RecipeError, compare
from recipes.merge import merge

FOLDER = Path(__file__).parent
PARAMS = Path("params.yaml")
NO_RECIPES = ("objectives", "published")


def main() -> None:
    """List them, or put those that are named into the params.yaml of this folder; or compare."""
    if sys.argv[1:2] == ["compare"]:
        return compare.main(sys.argv[2:])
    parser = argparse.ArgumentParser(prog="python -m recipes", description=__doc__)
    parser.add_argument("recipe", nargs="*", help="one of them; none: list all")
    names = parser.parse_args().recipe
    try:
        if names:
            follow(names)
        else:
            print("\n".join(f"{name:18} {said(name)[0]}" for name in known()))
    except RecipeError as error:
        raise SystemExit(f"recipes: {error}") from None


def known() -> list[str]:
    """The names of all recipes."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml") if path.stem not in NO_RECIPES)


def said(name: str) -> list[str]:
    """The comment at the head of a recipe, by line."""
    lines = (FOLDER / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
    return [line.removeprefix("# ") for line in lines if line.startswith("#")]


def follow(names: list[str]) -> None:
    """Write params.yaml with them, or leave it as it was. RecipeError: see recipes.merge."""
    if not PARAMS.exists():
        raise RecipeError(f"no {PARAMS} here: run in the folder that holds it")
    text, added = PARAMS.read_text(encoding="utf-8"), list[str]()
    for name in names:
        if name not in known():
            raise RecipeError(f"there is no recipe {name}; there are {', '.join(known())}")
        recipe = yaml.safe_load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))
        text, new = merge(text, recipe)
        added += new
    if added:
        beside = PARAMS.with_suffix(".new")
        beside.write_text(text, encoding="utf-8")
        os.replace(beside, PARAMS)
        print("\n".join([*(f"+ {new}" for new in added), "", *said(names[-1])]))
    else:
        print(f"{PARAMS} has it all already")


if __name__ == "__main__":
    main()
