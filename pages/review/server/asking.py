"""From a request to plain values and back: bodies are bounded, mistakes are one line of JSON.

A function that answers takes what is asked and gives facts or a Response; it runs in a thread.
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

import pydantic
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from backbones import BackboneError
from cluster.errors import ClusterError
from images import ImagesError
from pages.review.refused import Refused
from pipeline.io.absent import Absent
from pipeline.params import StageError
from store import StoreError

JSON, BYTES = "application/json", "application/octet-stream"
LIMIT = {JSON: 64 << 20, BYTES: 256 << 20}  # bytes of a body: a million rows, a picture
FOR_USERS = (StageError, StoreError, ImagesError, BackboneError, ClusterError, Absent)


class Question(NamedTuple):
    """query: after the ? of the address; path: what its pattern holds; body: of a POST."""

    query: Mapping[str, str]
    path: Mapping[str, Any]
    body: bytes

    def text(self, name: str, default: str | None = None) -> str:
        """Refused where it is missing and there is no default."""
        found = self.query.get(name, default)
        if found is None:
            raise Refused(400, f"{name} is missing")
        return found

    def number(self, name: str, default: int | None, low: int, high: int) -> int:
        """A whole number from `low` to `high`; Refused for anything else."""
        return whole(name, self.text(name, None if default is None else str(default)), low, high)


Answer = Callable[[Question], Any]
Model = TypeVar("Model", bound=pydantic.BaseModel)


def whole(name: str, said: str, low: int, high: int) -> int:
    """A whole number within bounds, both included."""
    number = int(said) if said.isascii() and said.isdecimal() and len(said) < 12 else -1
    if not low <= number <= high:
        raise Refused(400, f"{name} is {said[:40]!r}: expected a number from {low} to {high}")
    return number


def parsed(model: type[Model], body: bytes) -> Model:
    """A body as such a model; Refused says in a line what is wrong with it."""
    try:
        return model.model_validate_json(body)
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(step) for step in first["loc"][:3])
        raise Refused(400, f"{where + ': ' if where else ''}{first['msg']}") from None


def answered(answer: Answer, content: str = JSON) -> Callable[[Request], Any]:
    """An endpoint of `answer`; content: the type that the body of a POST must have."""

    async def endpoint(request: Request) -> Response:
        try:
            body = await _body(request, content) if request.method == "POST" else b""
            asked = Question(dict(request.query_params), request.path_params, body)
            return await run_in_threadpool(_answer, answer, asked)
        except Refused as refused:
            return as_json({"error": str(refused)}, refused.status)
        except asyncio.CancelledError:  # Ctrl-C while it is computed, which is no error of ours
            return as_json({"error": "the server was stopped"}, 503)

    return endpoint


def _answer(answer: Answer, asked: Question) -> Response:
    try:
        found = answer(asked)
    except Refused:
        raise
    except FOR_USERS as error:
        raise Refused(409, " ".join(str(error).split())) from None
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise Refused(500, f"{where}{error.strerror or error}") from None
    return found if isinstance(found, Response) else as_json(found)


def as_json(facts: Any, status: int = 200) -> Response:
    text = json.dumps(facts, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return Response(text.encode("utf-8", "surrogatepass"), status, media_type=JSON)


async def _body(request: Request, content: str) -> bytes:
    said = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if said != content:
        raise Refused(415, f"Content-Type is {said[:60]!r}: expected {content}")
    limit = LIMIT[content]
    out = bytearray()
    try:
        async for part in request.stream():
            out += part
            if len(out) > limit:
                raise Refused(413, f"more than {limit >> 20} MB: too large")
    except ClientDisconnect:
        raise Refused(400, "the connection was closed") from None
    return bytes(out)
