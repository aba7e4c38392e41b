"""Look a backbone up in the zoo."""

import backbones
from pipeline.io.origin import write_zoo_row
from pipeline.params import Section, section
from stages import run


class Params(Section):
    """A row of the zoo has no settings: to change one is to write another row."""


def main(backbone: str) -> None:
    """Write which row of backbones/zoo.yaml BACKBONE is, by the digest that names its features.

    Stage embed runs again when it changes, and not when a comment of the row does.
    """
    section(Params, f"backbones.{backbone}")
    row = backbones.row(backbone)
    write_zoo_row(row)
    print(f"backbone: {row.name}, {row.dim} dims, {row.method}, {row.loader}")


if __name__ == "__main__":
    run(main)
