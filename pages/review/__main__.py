"""python -m pages.review DATASET: look at clusters, name and correct them, in a browser."""

import argparse
import socket
import sys
import threading
import webbrowser
from contextlib import suppress
from importlib.util import find_spec

from pages.review.asked import choose, choose_dataset
from pages.review.server.asking import FOR_USERS
from pipeline.params import Runtime, StageError, section


def main() -> None:
    """Serve the review page on this machine until Ctrl-C."""
    asked = _arguments()
    try:
        with suppress(KeyboardInterrupt):  # which uvicorn may keep to itself
            _serve(asked)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise SystemExit(f"review: {where}{error.strerror or error}") from None
    except FOR_USERS as error:
        raise SystemExit(f"review: {' '.join(str(error).split())}") from None
    print("review: stopped; all decisions are kept", file=sys.stderr)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m pages.review", description=__doc__)
    parser.add_argument("dataset", nargs="?", help="of params.yaml; needless if it is the only one")
    parser.add_argument("--backbone", help="default: of the clustering that stage rank puts first")
    parser.add_argument("--run", help="kmeans, discovered/simgcd, …; default: the same")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=int, default=0, help="0: any that is free (%(default)s)")
    parser.add_argument("--no-open", action="store_true", help="only print the address")
    return parser.parse_args()


def _serve(asked: argparse.Namespace) -> None:
    if find_spec("uvicorn") is None or find_spec("starlette") is None:
        raise StageError("starlette and uvicorn are needed: pip install -r requirements.txt")
    import uvicorn

    from pages.review.server.app import make_app
    from pages.review.server.events import Events
    from pages.review.server.security import LOOPBACK, new_token
    from pages.review.server.served import Served
    from pages.review.state import State

    chosen = choose(choose_dataset(asked.dataset), asked.backbone, asked.run)
    events, token = Events(), new_token()
    with _listening(asked.host, asked.port) as listening:
        port = listening.getsockname()[1]
        served = Served(State(chosen, events.tell), section(Runtime, "runtime"))
        for note in served.about()["notes"]:
            print(f"review: {note}")
        if asked.host not in LOOPBACK:
            print("review: others in the network who have this address can look and decide")
        name = f"[{asked.host}]" if ":" in asked.host else asked.host
        address = f"http://{'127.0.0.1' if asked.host == '0.0.0.0' else name}:{port}/{token}/"
        of = served.state.collection.asked
        print(f"review of {chosen.cell.dataset} ({of.cell.backbone}, {of.cell.run}): {address}")
        sys.stdout.flush()
        config = uvicorn.Config(
            make_app(served, events, token, asked.host, port),
            log_level="error", access_log=False, server_header=False, proxy_headers=False,
            ws="none", lifespan="on", timeout_graceful_shutdown=1,
        )  # fmt: skip
        if not asked.no_open:
            threading.Timer(0.5, webbrowser.open, (address,)).start()
        server = uvicorn.Server(config)
        end = server.shutdown

        async def shutdown(sockets: list[socket.socket] | None = None) -> None:
            events.stop()  # uvicorn waits for streams that tabs listen to
            await end(sockets)

        server.shutdown = shutdown  # type: ignore[method-assign]
        server.run(sockets=[listening])


def _listening(host: str, port: int) -> socket.socket:
    """A socket on that address. StageError where it cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((host, port))
        found.listen(128)  # who asks before the server has started waits for it
    except (OSError, OverflowError) as error:
        found.close()
        said = getattr(error, "strerror", None) or str(error)
        raise StageError(f"cannot listen on {host}:{port}: {said}; give another --port") from None
    return found


if __name__ == "__main__":
    main()
