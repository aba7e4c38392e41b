"""Look a backbone up in the zoo."""

import backbones
from pipeline.io.origin import read_used, write_zoo_row
from stages import run


def main(backbone: str) -> None:
    """Write which row of backbones/zoo.yaml BACKBONE is, a key of `backbones` or `resized`, and at
    which size of its pictures, by the digest that names its features.

    Stage embed runs again when it changes, and not when a comment of the row does.
    """
    used = read_used(backbone)
    row = backbones.row(used.row)
    write_zoo_row(row, used.dtype, backbone)
    print(f"backbone: {row.name}, {row.dim} dims of {used.dtype}, {row.method}, {row.loader}")


if __name__ == "__main__":
    run(main)
