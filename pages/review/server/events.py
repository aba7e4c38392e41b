"""All tabs in step: server-sent events tell them that the labels changed, whoever changed them."""

import asyncio
import json
from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

QUEUE = 64  # events that a tab may lag behind before it is told the last one only
ALIVE = 15.0  # seconds between signs of life, by which a closed connection is noticed
LOOK = 1.0  # seconds between looks at the file, which another process may have appended to


class Events:
    """Of one server; `tell` may be called from any thread."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._queues = set[asyncio.Queue[bytes | None]]()

    def start(self) -> None:
        """In the loop that serves."""
        self._loop = asyncio.get_running_loop()

    def stop(self) -> None:
        """End all streams, so that the server can end."""
        self._put(None)
        self._loop = None

    def tell(self, event: str, data: dict[str, object]) -> None:
        """To all tabs."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._put, _written(event, data))

    def stream(self, request: Request, first: dict[str, object]) -> Response:
        """The answer to a tab that listens; first: what is told at once, as `changed`."""
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        told = self._listen(request, _written("changed", first))
        return StreamingResponse(told, media_type="text/event-stream", headers=headers)

    async def _listen(self, request: Request, first: bytes) -> AsyncIterator[bytes]:
        queue = asyncio.Queue[bytes | None](QUEUE)
        self._queues.add(queue)
        try:
            yield first
            while self._loop is not None:
                try:
                    said = await asyncio.wait_for(queue.get(), ALIVE)
                except TimeoutError:
                    said = b": alive\n\n"
                if said is None:
                    return
                yield said
        finally:
            self._queues.discard(queue)

    def _put(self, said: bytes | None) -> None:
        for queue in self._queues:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(said)


def _written(event: str, data: dict[str, object]) -> bytes:
    return f"event: {event}\ndata: {json.dumps(data)}\n\n".encode()
