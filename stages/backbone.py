"""Look a backbone up in the zoo."""

import backbones
from pipeline.io.origin import Stored, write_zoo_row
from pipeline.params import section
from stages import run


class Params(Stored):
    """All that may be set of a row of the zoo: to change the row is to write another one."""


def main(backbone: str) -> None:
    """Write which row of backbones/zoo.yaml BACKBONE is, by the digest that names its features.

    Stage embed runs again when it changes, and not when a comment of the row does.
    """
    params = section(Params, f"backbones.{backbone}")
    row = backbones.row(backbone)
    write_zoo_row(row, params.dtype)
    print(f"backbone: {row.name}, {row.dim} dims of {params.dtype}, {row.method}, {row.loader}")


if __name__ == "__main__":
    run(main)
