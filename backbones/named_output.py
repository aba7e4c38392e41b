"""One named output of a SavedModel, as a function of its one input, the images.

A row's `model` is the signature to call, or `call` for the object itself, which takes `options`
(SimCLR: `trainable: false`) and answers with a dictionary; `output` is the entry that is read. But:
that is never left to the library. tensorflow_hub falls back on the entry `default`, which is
BigBiGAN's 120-wide latent, not its feature; here a width other than the row's is refused.
"""

import difflib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from backbones.row import ZOO, Backbone, BackboneError

Read = Callable[[Any], Any]  # normalised float32 [image, size, size, 3] → [image, dim], tensors


def read_output(tf: Any, row: Backbone, folder: Path) -> Read:
    """The function, of the module in `folder`; `tf` is TensorFlow. Raises BackboneError: the module
    cannot be loaded, or has no such signature or output, or one of another width."""
    # The format of TensorFlow 1's modules keeps several graphs; the one without a tag is inference.
    tags: list[str] | None = [] if (folder / "tfhub_module.pb").is_file() else None
    try:
        module = tf.saved_model.load(str(folder), tags=tags)
    except Exception as error:  # TensorFlow raises nearly every class here
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:160]
        raise BackboneError(
            f"{row.name}: TensorFlow cannot load {folder} ({reason}); delete it to fetch it again"
        ) from error
    if row.model == "call":
        return _of_call(row, module)
    if row.model not in module.signatures:
        raise BackboneError(
            f"{row.name}: no signature {row.model!r}; {_near(row.model, module.signatures)}"
        )
    read = _of_signature(row, module.signatures[row.model])

    def kept(pixels: Any) -> Any:
        _ = module  # a signature alone does not keep its variables alive
        return read(pixels)

    return kept


def _of_call(row: Backbone, module: Any) -> Read:
    if not callable(module):
        found = ", ".join(sorted(module.signatures))
        raise BackboneError(
            f"{row.name}: the module cannot be called; take a signature as model: {found}"
        )

    def read(pixels: Any) -> Any:
        answer = module(pixels, **row.options)
        if not isinstance(answer, Mapping):
            found = ", ".join(module.signatures)
            raise BackboneError(
                f"{row.name}: the call gives a tensor without a name; take a signature as model, "
                f"whose outputs have one: {found}"
            )
        _hold(row, {name: value.shape for name, value in answer.items()})
        return answer[row.output]

    return read


def _of_signature(row: Backbone, signature: Any) -> Read:
    inputs = signature.structured_input_signature[1]
    if len(inputs) != 1 or row.options:
        raise BackboneError(
            f"{row.name}: signature {row.model!r} takes {', '.join(inputs)}; expected one input, "
            "the images, and no options"
        )
    outputs = signature.structured_outputs
    _hold(row, {name: value.shape for name, value in outputs.items()})
    if hasattr(signature, "prune"):
        # A graph of TensorFlow 1 is cut down to what is read: nothing random (BigBiGAN's z_sample)
        # is drawn beside it.
        read: Read = signature.prune(signature.inputs[0], outputs[row.output])
        return read
    (name,) = inputs
    return lambda pixels: signature(**{name: pixels})[row.output]


def _hold(row: Backbone, shapes: Mapping[str, Any]) -> None:
    """Holds name and width of the row's output to those the module has; raises BackboneError."""
    widths = {name: shape[-1] for name, shape in shapes.items() if shape.rank == 2}
    table = ", ".join(f"{name} {width}" for name, width in sorted(widths.items()))
    if row.output not in shapes:
        near = _near(row.output, shapes)
        raise BackboneError(f"{row.name}: no output {row.output!r}; {near}; widths: {table}")
    if widths.get(row.output) not in (row.dim, None) or shapes[row.output].rank not in (2, None):
        raise BackboneError(
            f"{row.name}: output {row.output!r} is {list(shapes[row.output])[1:]} a image, the row "
            f"says {row.dim}; correct output or dim in {ZOO.name}; widths: {table}"
        )


def _near(name: str, names: Mapping[str, Any]) -> str:
    close = difflib.get_close_matches(name, names, n=1)
    return f"did you mean {close[0]}?" if close else f"found: {', '.join(sorted(names))}"
