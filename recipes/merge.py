"""Put a recipe into the text of params.yaml; all lines that are there stay as they are.

But: no YAML library that writes: those that keep comments move some of them.
"""

import re
import textwrap
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import yaml

from pipeline.names import MAPPINGS
from pipeline.yaml_as_dvc import Loader
from recipes import RecipeError

LISTS = ("runs.kmeans", "runs.temi", "runs.sskmeans")
_NAMES = {list: "list", Mapping: "mapping of names"}
WIDTH = 100


class Merged(NamedTuple):
    """text: of params.yaml; added: the new keys and items, such as known.cub."""

    text: str
    added: list[str]


def merge(text: str, recipe: Mapping[str, Any]) -> Merged:
    """What `recipe` adds to params.yaml. RecipeError: a key of it is there with another value."""
    params, added = _read(yaml.load, text), list[str]()
    text = _with_sections(text, params, recipe, added)
    wanted = {where: _at(recipe, where) for where in (*MAPPINGS, *LISTS)}
    for where in (where for where, value in wanted.items() if value):
        there = _at(params, where)
        if where in LISTS:
            new = [item for item in wanted[where] if item not in (there or [])]
            items = {item: item for item in new}
        else:
            values = wanted[where]
            for key in values.keys() & (there or {}).keys():
                if there[key] != values[key]:
                    raise RecipeError(
                        f"params.yaml has {where}.{key} already, with another value: rename it or "
                        "take it out"
                    )
            new = [key for key in values if key not in (there or {})]
            items = {key: _flow(wanted[where][key]) for key in new}
        if new:
            text = _insert(text, where, items)
            added += [f"{where}.{key}" for key in new]
    _check(_read(yaml.load, text), params, wanted)
    return Merged(text, added)


def _with_sections(
    text: str, params: Mapping[str, Any], recipe: Mapping[str, Any], added: list[str]
) -> str:
    """With the recipe's own sections, such as temi_cifar10, at the end."""
    places = {where.partition(".")[0] for where in (*MAPPINGS, *LISTS)}
    for name in (key for key in recipe if key not in places):
        if name in params and params[name] != recipe[name]:
            raise RecipeError(
                f"params.yaml has {name} already, with another value: rename it or take it out"
            )
        if name not in params:
            said = yaml.safe_dump({name: recipe[name]}, sort_keys=False, default_flow_style=None)
            text = f"{text.rstrip()}\n\n{said}"
            added.append(name)
    return text


def _read(parse: Callable[..., Any], text: str) -> Any:
    """By yaml.load or yaml.compose; an empty file is an empty mapping."""
    try:
        return parse(text, Loader) or {}
    except yaml.YAMLError as error:
        said = " ".join(str(error).split())
        raise RecipeError(f"params.yaml is no valid YAML: {said}") from None


def _at(params: Mapping[str, Any], where: str) -> Any:
    found: Any = params
    for key in where.split("."):
        if not isinstance(found or {}, Mapping):
            raise RecipeError(f"params.yaml: {where} is not to be found: a part of it is {found!r}")
        found = (found or {}).get(key)
    kind = list if where in LISTS else Mapping
    if found is not None and not isinstance(found, kind):
        raise RecipeError(f"params.yaml: {where} is {found!r}, expected a {_NAMES[kind]}")
    return found


def _flow(value: Any) -> str:
    """On one line."""
    return yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=10**6).strip()


def _insert(text: str, where: str, items: Mapping[str, str]) -> str:
    """New items at the end of the mapping or list at `where`."""
    key, node = _node(text, where)
    lines = text.splitlines(keepends=True)
    is_list = where in LISTS
    indent = key.start_mark.column + 2
    if isinstance(node, yaml.CollectionNode) and node.value and node.flow_style:
        return _before(lines, node.end_mark, ", ".join(_pairs(items, is_list)))
    if is_list and isinstance(node, yaml.SequenceNode) and not node.value:
        return _before(lines, node.end_mark, ", ".join(items))
    if isinstance(node, yaml.CollectionNode) and node.value:
        first = node.value[0] if is_list else node.value[0][0]
        indent = first.start_mark.column - 2 * is_list
        at = _last_line(node) + 1
    else:  # {}, or nothing at all
        at = key.start_mark.line + 1
        line = lines[at - 1]
        lines[at - 1] = re.sub(r" \{\s*\}( ?)", r"\1", line, count=1)
    lines[at - 1] = lines[at - 1].rstrip("\n") + "\n"
    lines[at:at] = [_lines(name, said, indent, is_list) for name, said in items.items()]
    return "".join(lines)


def _pairs(items: Mapping[str, str], is_list: bool) -> list[str]:
    return [name if is_list else f"{name}: {said}" for name, said in items.items()]


def _lines(name: str, said: str, indent: int, is_list: bool) -> str:
    """An item of a block, broken where it is long."""
    space = " " * indent
    line = f"{space}- {name}\n" if is_list else f"{space}{name}: {said}\n"
    if len(line) <= WIDTH + 1:
        return line
    kept = said.replace(": ", ":\u00a0")  # a line ends behind a comma
    body = textwrap.fill(
        kept, WIDTH, initial_indent=f"{space}  ", subsequent_indent=f"{space}   ",
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip
    return f"{space}{name}:\n{body}\n".replace("\u00a0", " ")


def _before(lines: list[str], end: yaml.Mark, said: str) -> str:
    """Inside a bracket that ends at `end`."""
    line, at = lines[end.line], end.column - 1
    before = line[:at].rstrip()
    comma = "" if before.endswith(("[", "{", ",")) else ", "
    lines[end.line] = f"{before}{comma}{said}{line[at:]}"
    return "".join(lines)


def _node(text: str, where: str) -> tuple[yaml.Node, yaml.Node]:
    """Key and value at `where`."""
    key, node = None, _read(yaml.compose, text)
    for part in where.split("."):
        pairs = node.value if isinstance(node, yaml.MappingNode) else []
        found = [pair for pair in pairs if pair[0].value == part]
        if not found:
            raise RecipeError(f"params.yaml has no {where}, which the recipe needs: add it, empty")
        key, node = found[0]
    return key, node  # type: ignore[return-value]


def _last_line(node: yaml.Node) -> int:
    """Of what is written; a block's own end mark lies behind the comments after it."""
    while isinstance(node, yaml.CollectionNode) and node.value and not node.flow_style:
        last = node.value[-1]
        node = last[1] if isinstance(last, tuple) else last
    return int(node.end_mark.line)


def _check(now: Mapping[str, Any], before: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """The text says what it should, however the file was laid out."""
    changed = {where.partition(".")[0] for where in wanted} | {"embedded", "all"}
    elsewhere = [key for key in before if key not in changed and now[key] != before[key]]
    for where, value in wanted.items():
        there, found = _at(before, where), _at(now, where)
        if where in LISTS:
            right = [*(there or []), *(item for item in value or [] if item not in (there or []))]
        else:
            right = {**(there or {}), **(value or {})}  # type: ignore[assignment]
        if (found or type(right)()) != right or elsewhere:
            raise RecipeError(
                f"params.yaml writes {where} in a way that cannot be added to: add the lines of "
                "the recipe by hand"
            )
