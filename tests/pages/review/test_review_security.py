"""Who may ask: whoever has the address, by a name of this machine, and no page of another site."""

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from pages.review.server import asking
from pages.review.server.asking import answered
from pages.review.server.security import Guard, new_token

PORT = 4321


async def _hello(request: Request) -> Response:
    return PlainTextResponse("hello")


def client(host: str = "127.0.0.1", base: str = f"http://127.0.0.1:{PORT}") -> TestClient:
    echo = answered(lambda asked: {"bytes": len(asked.body)})
    routes = [Route("/", _hello), Route("/post", echo, methods=["POST"])]
    app = Starlette(routes=[Mount("/token", routes=routes)])
    return TestClient(Guard(app, "token", host, PORT), base_url=base)


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "LOCALHOST", "[::1]"])
def test_the_names_of_this_machine_may_ask(name: str):
    assert client().get("/token/", headers={"host": f"{name}:{PORT}"}).text == "hello"


@pytest.mark.parametrize(
    "host",
    [
        "evil.com", f"evil.com:{PORT}", "127.0.0.1", "127.0.0.1:1", f"127.0.0.1.evil.com:{PORT}",
        f"localhost.evil.com:{PORT}", f"192.168.0.7:{PORT}", "",
    ],
)  # fmt: skip
def test_another_name_is_refused_as_dns_rebinding_has_one(host: str):
    answer = client().get("/token/", headers={"host": host})
    assert answer.status_code == 403
    assert "hello" not in answer.text


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.com"}, {"origin": "null"}, {"origin": "http://127.0.0.1"},
        {"origin": f"https://127.0.0.1:{PORT}"}, {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)  # fmt: skip
def test_pages_of_other_sites_can_neither_read_nor_post(headers: dict[str, str]):
    own = {**headers, "content-type": "application/json"}
    assert client().get("/token/", headers=own).status_code == 403
    assert client().post("/token/post", content=b"{}", headers=own).status_code == 403


def test_the_own_page_may_post_and_a_link_be_followed():
    own = {"origin": f"http://127.0.0.1:{PORT}", "sec-fetch-site": "same-origin"}
    answer = client().post("/token/post", json=[1], headers=own)
    assert answer.json() == {"bytes": 3}
    followed = {"sec-fetch-site": "cross-site", "sec-fetch-dest": "document"}
    assert client().get("/token/", headers=followed).status_code == 200
    assert client().post("/token/post", json=[1], headers=followed).status_code == 403


@pytest.mark.parametrize("path", ["/", "/x/", "/toke/", "/tokenx/", "/../token/x", "//token/"])
def test_without_the_token_there_is_nothing(path: str):
    assert client().get(path).status_code == 404


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "PATCH"])
def test_no_other_method_is_answered(method: str):
    assert client().request(method, "/token/").status_code == 405


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_a_form_of_another_page_is_no_json(kind: str):
    answer = client().post("/token/post", content=b"{}", headers={"content-type": kind})
    assert answer.status_code == 415


def test_a_body_has_a_bound(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(asking.LIMIT, "application/json", 10)
    assert client().post("/token/post", json="x" * 8).status_code == 200
    assert client().post("/token/post", json="x" * 9).status_code == 413


def test_answers_load_nothing_from_elsewhere():
    headers = client().get("/token/").headers
    assert "default-src 'self'" in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"
    assert client().get("/x/").headers["x-content-type-options"] == "nosniff"


def test_with_all_addresses_numbers_are_names_of_this_machine_and_words_are_not():
    open_to_all = client("0.0.0.0")
    assert open_to_all.get("/token/", headers={"host": f"192.168.0.7:{PORT}"}).status_code == 200
    assert open_to_all.get("/token/", headers={"host": f"evil.com:{PORT}"}).status_code == 403


def test_tokens_are_long_and_differ():
    found = {new_token() for _ in range(100)}
    assert len(found) == 100
    assert min(map(len, found)) >= 22
