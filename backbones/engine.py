"""The same network on the fastest road its device offers: pixels in, vectors out.

On a CPU that is onnxruntime, one image at a time on as many threads as there are cores: 2-5 times
faster than torch, and an image gives the same bytes wherever it stands, whatever stands beside it
and however many threads there are, because nothing of that reaches its arithmetic. On a GPU it is
torch under autocast, with the weights of its products cast once. But: the exported network is held
to torch's own answer at each load; where they disagree, or there is no export (networks above 2
GB), torch itself runs.
"""

import copy
import io
import logging
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout

import numpy as np
import torch
from torch.nn.modules.linear import NonDynamicallyQuantizableLinear

from backbones import Encoder
from backbones.row import Backbone, BackboneError

_AGREE = 1e-3  # of the largest feature
# Layers whose weights autocast casts for a product, and which read them for nothing else. Layers
# derived from them may do more: they normalise their weights first, for example.
_MULTIPLY = {
    *(torch.nn.Linear, torch.nn.MultiheadAttention, NonDynamicallyQuantizableLinear),
    *(torch.nn.Conv1d, torch.nn.Conv2d, torch.nn.Conv3d, torch.nn.ConvTranspose2d),
}
_log = logging.getLogger(__name__)


class Whole(torch.nn.Module):
    """A network with its normalisation: uint8 [image, height, width, 3] → float32 [image, dim]."""

    scale: torch.Tensor
    shift: torch.Tensor

    def __init__(self, network: torch.nn.Module, row: Backbone) -> None:
        super().__init__()
        mean, std = torch.tensor(row.input.mean), torch.tensor(row.input.std)
        self.network = network
        self.register_buffer("scale", (1 / (255 * std)).view(3, 1, 1), persistent=False)
        self.register_buffer("shift", (-mean / std).view(3, 1, 1), persistent=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        # Moving the axis only, not the bytes, leaves the pixels in channels_last order.
        pixels = images.permute(0, 3, 1, 2).to(self.scale.dtype)
        return self.network(pixels * self.scale + self.shift)


def encoder(network: torch.nn.Module, row: Backbone, device: str) -> Encoder:
    """network: normalised float32 [image, 3, size, size] → [image, dim], on the CPU, weights in.

    Raises BackboneError: no such device, or the network does not give what the row says.
    """
    place = _device(row, device)
    whole = Whole(network, row).eval().requires_grad_(False)
    size = row.input.size
    probe = np.random.default_rng(0).integers(0, 256, (2, size, size, 3), dtype=np.uint8)
    if place.type == "cuda":
        encode = on_torch(whole, place, _half(place))
        found = encode(probe)
    else:
        encode, found = _on_cpu(whole, row, probe)
    if found.shape != (2, row.dim):
        raise BackboneError(f"{row.name}: gives {found.shape[1:]} an image, the row says {row.dim}")
    if not np.isfinite(found).all():
        raise BackboneError(f"{row.name}: gives NaN or infinity on {device}; try another device")

    def checked(images: np.ndarray) -> np.ndarray:
        if images.dtype != np.uint8 or images.shape[1:] != (size, size, 3):
            raise BackboneError(
                f"{row.name}: got {images.dtype} {list(images.shape)}, expected uint8 "
                f"[image, {size}, {size}, 3]; make it with backbones.preprocess"
            )
        return encode(images) if len(images) else np.empty((0, row.dim), np.float32)

    return checked


def on_torch(whole: Whole, device: torch.device, half: torch.dtype | None) -> Encoder:
    """torch, a batch at a time; `half` is the type of its products, None = float32 throughout."""
    torch.backends.cudnn.benchmark = False  # the fastest kernel of the moment is not always the
    torch.backends.cudnn.deterministic = True  # same kernel, nor are its bytes
    whole.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if half is not None:
        whole = _cast_once(whole, half)

    def encode(images: np.ndarray) -> np.ndarray:
        batch = torch.from_numpy(np.require(images, requirements=["C", "W"]))
        if device.type == "cuda":
            batch = batch.pin_memory().to(device, non_blocking=True)
        autocast = torch.autocast(device.type, dtype=half, enabled=half is not None)
        with torch.inference_mode(), autocast:
            return whole(batch).float().cpu().numpy()

    return encode


def _cast_once(whole: Whole, half: torch.dtype) -> Whole:
    """The same network, with weights of products in `half`, so that autocast does not cast them for
    every batch; features are the same to the bit. The given one, which may go on to be trained,
    keeps its own."""
    shared = {id(each): each for each in (*whole.parameters(), *whole.buffers())}
    try:
        found = copy.deepcopy(whole, shared)
    except RuntimeError:  # it holds tensors that torch does not copy
        return whole
    for layer in found.modules():
        if type(layer) in _MULTIPLY:
            own = {name: weight for name, weight in layer._parameters.items() if weight is not None}
            for name, weight in own.items():
                layer._parameters[name] = torch.nn.Parameter(weight.to(half), requires_grad=False)
    return found


def _on_cpu(whole: Whole, row: Backbone, probe: np.ndarray) -> tuple[Encoder, np.ndarray]:
    torch_encode = on_torch(whole, torch.device("cpu"), None)
    expected = torch_encode(probe)
    try:
        encode = one_by_one(_onnx(whole, probe[:1]), torch.get_num_threads())
        found = encode(probe)
        apart = float(np.abs(found - expected).max() / (np.abs(expected).max() or 1))
        if apart <= _AGREE:
            return encode, found
        reason = f"differs from torch by {apart:.1e} of the largest feature"
    except Exception as error:  # whatever an exporter trips over, torch can still run it
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:160]
    _log.warning("%s: runs on torch, slower, because onnxruntime %s", row.name, reason)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # its threads, unlike ours, would reach the arithmetic
    return one_by_one(torch_encode, threads), expected


def one_by_one(encode: Callable[[np.ndarray], np.ndarray], threads: int) -> Encoder:
    """Each image alone, on one of `threads` threads."""
    pool = ThreadPoolExecutor(threads, thread_name_prefix="encode")

    def encode_each(images: np.ndarray) -> np.ndarray:
        alone = [images[i : i + 1] for i in range(len(images))]
        return np.concatenate(list(pool.map(encode, alone)))

    return encode_each


def exported(whole: Whole, example: np.ndarray) -> bytes:
    """The network in the ONNX format, for as many images as there are in `example`."""
    model = io.BytesIO()
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # ONNX has no word for torch's fused attention
    try:
        # The exporter by tracing is called the old one, but takes 0.5 s where the new one takes 3.
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()), torch.no_grad():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                whole,
                (torch.from_numpy(example),),
                model,  # type: ignore[arg-type]
                input_names=["images"],
                output_names=["features"],
                opset_version=17,
                dynamo=False,
            )
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
    return model.getvalue()


def _onnx(whole: Whole, example: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        exported(whole, example), options, providers=["CPUExecutionProvider"]
    )
    return lambda images: session.run(["features"], {"images": images})[0]


def _device(row: Backbone, device: str) -> torch.device:
    kind, _, index = device.partition(":")
    if kind not in ("cpu", "cuda") or (index and not index.isdecimal()):
        raise BackboneError(f'{row.name}: no device {device!r}; expected "cpu", "cuda" or "cuda:1"')
    if kind == "cuda" and int(index or 0) >= torch.cuda.device_count():
        found = torch.cuda.device_count()
        raise BackboneError(f"{row.name}: no device {device!r}, torch sees {found} GPUs; take cpu")
    return torch.device(device)


def _half(device: torch.device) -> torch.dtype:
    # bfloat16 has float32's range, so nothing overflows; older GPUs only emulate it, slowly.
    major, _ = torch.cuda.get_device_capability(device)
    return torch.bfloat16 if major >= 8 else torch.float16
