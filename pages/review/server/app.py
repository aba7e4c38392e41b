"""The application: which address is answered by what."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from pages.review.server.asking import BYTES, Answer, Question, answered, as_json, parsed
from pages.review.server.events import LOOK, Events
from pages.review.server.laid import Laid
from pages.review.server.proposing import Proposing
from pages.review.server.security import Guard
from pages.review.server.served import Served
from pages.review.server.showing import Showing, standing
from pages.review.server.wanted import OpenRun
from pages.review.wishes import AuditRow, audited, read_wish

STATIC = Path(__file__).parents[1] / "static"


def make_app(served: Served, events: Events, token: str, host: str, port: int) -> Guard:
    """What uvicorn runs; host, port: what it listens on."""
    mount = Mount(f"/{token}", routes=_routes(served, events))
    app = Starlette(
        routes=[mount],
        lifespan=lambda app: _life(served, events),
        exception_handlers={HTTPException: _http_error, Exception: _own_error},
    )
    return Guard(app, token, host, port)


def _routes(served: Served, events: Events) -> list[BaseRoute]:
    showing, proposing, laid = Showing(served), Proposing(served), Laid(served)
    state = served.state

    def decide(asked: Question) -> dict[str, Any]:
        view = state.decide(read_wish(asked.body))
        return {**standing(view), "progress": view.progress(), "said": view.said_last}

    def answer_audit(asked: Question) -> dict[str, Any]:
        state.decide(audited(parsed(AuditRow, asked.body)))
        return proposing.audit(asked)

    def open_run(asked: Question) -> dict[str, Any]:
        wanted = parsed(OpenRun, asked.body)
        state.open(wanted.backbone, wanted.run, wanted.setting, wanted.seed)
        served.follow()
        return served.about()

    def listen(request: Request) -> Response:
        view = state.view
        return events.stream(request, {"version": view.version, "said": view.said_last})

    def get(path: str, answer: Answer) -> Route:
        return Route(path, answered(answer), methods=["GET"])

    def post(path: str, answer: Answer, **content: str) -> Route:
        return Route(path, answered(answer, **content), methods=["POST"])

    return [
        Route("/", _index, methods=["GET"]),
        get("/api/about", served.about),
        get("/api/progress", showing.progress),
        get("/api/groups", showing.groups),
        get("/api/group", showing.group),
        get("/api/rows", showing.rows),
        get("/api/colors", showing.colors),
        get("/api/image", showing.image),
        get("/api/moved", showing.moved),
        get("/api/suggestions", proposing.suggestions),
        get("/api/next", proposing.next),
        get("/api/audit", proposing.audit),
        get("/api/search", proposing.search),
        get("/api/map", laid.map),
        get("/api/duplicates", laid.duplicates),
        Route("/api/events", listen, methods=["GET"]),
        post("/api/open", open_run),
        post("/api/split", proposing.split),
        post("/api/sort_rest", proposing.sort_rest),
        post("/api/audit", answer_audit),
        post("/api/search", proposing.search_by_file, content=BYTES),
        post("/api/decisions", decide),
        get("/thumb/{row:int}.webp", served.thumb),
        get("/full/{row:int}", served.full),
        Mount("/static", StaticFiles(directory=STATIC, check_dir=False)),
    ]


async def _index(request: Request) -> Response:
    if not (STATIC / "index.html").is_file():
        return as_json({"error": f"{STATIC / 'index.html'} is not there"}, 501)
    return FileResponse(STATIC / "index.html", headers={"cache-control": "no-cache"})


@contextlib.asynccontextmanager
async def _life(served: Served, events: Events) -> AsyncIterator[None]:
    """While the server runs it looks whether another process appended decisions."""
    events.start()

    async def look() -> None:
        while True:
            await asyncio.sleep(LOOK)
            await run_in_threadpool(served.state.refresh)

    looking = asyncio.create_task(look())
    try:
        yield
    finally:
        looking.cancel()
        events.stop()
        await run_in_threadpool(served.thumbnails.stop)
        await run_in_threadpool(served.state.close)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return as_json({"error": f"{error.status_code}: {error.detail}"}, error.status_code)


async def _own_error(request: Request, error: Exception) -> Response:
    """A mistake of ours: the terminal has the traceback, the page one line."""
    said = " ".join(f"{type(error).__name__}: {error}".split())[:200]
    return as_json({"error": f"the server met an error of its own ({said})"}, 500)
