"""Read YAML as DVC does, which makes the stages of params.yaml: by YAML 1.2; PyYAML is of 1.1.

To YAML 1.1 `no`, `on` and `off` are truth values, 12:30 is the number 750 and 1e-3 is a text; to
DVC they are texts and a number. Read in two ways, a dataset called `no` has stages, and no settings
that these would find.
"""

import re

import yaml

_TRUTH, _WHOLE, _REAL = (f"tag:yaml.org,2002:{kind}" for kind in ("bool", "int", "float"))


# The parser in C reads five times as fast, which every stage waits for; not every build has it
class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """For yaml.load."""

    yaml_implicit_resolvers = {  # noqa: RUF012  as the class above has it
        first: [(tag, how) for tag, how in each if tag not in (_TRUTH, _WHOLE, _REAL)]
        for first, each in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


Loader.add_implicit_resolver(_TRUTH, re.compile("true|True|TRUE|false|False|FALSE"), list("tTfF"))
Loader.add_implicit_resolver(
    _REAL,
    re.compile(
        r"[-+]?(\d[\d_]*\.[\d_]*|\.\d[\d_]*)([eE][-+]?\d+)?$|[-+]?\d[\d_]*[eE][-+]?\d+$"
        r"|[-+]?\.(inf|Inf|INF)$|\.(nan|NaN|NAN)$"
    ),
    list("-+0123456789."),
)
Loader.add_implicit_resolver(
    _WHOLE, re.compile(r"[-+]?(0x[0-9a-fA-F_]+|0o[0-7_]+|\d[\d_]*)$"), list("-+0123456789")
)


def _whole(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
    text = node.value.replace("_", "").lower()
    digits = text.lstrip("+-")
    return int(text, {"0x": 16, "0o": 8}.get(digits[:2], 10))


Loader.add_constructor(_WHOLE, _whole)
