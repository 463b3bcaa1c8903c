"""The reference: complete, well formed, true (every answer in these tests is held against it), and readable offline."""

import json
import re
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Barrier, Thread
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import jsonschema_rs
import pytest
from django.core.wsgi import get_wsgi_application
from django.test import Client
from django.urls import URLPattern, get_resolver
from schemathesis.openapi import from_dict

from backend.api import openapi
from backend.api.examples import REQUESTS, SHAPES
from backend.api.problems import KINDS
from tests.cast import Cast

from .conftest import validator

METHODS = {"get", "post", "put", "patch", "delete"}
CHROMIUM = Path("/usr/bin/chromium")


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return openapi.document()


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method in METHODS & item.keys():
            yield path, method, item[method]


def test_it_is_made_without_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    openapi._made.cache_clear()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert openapi.document()["openapi"].startswith("3.1.")
    told = capsys.readouterr()
    assert (told.out, told.err) == ("", "")


def test_of_many_who_need_it_first_one_makes_it(document: dict[str, Any]) -> None:
    """Its generator breaks when two threads use it at once, and an address with a query needs it."""
    openapi._made.cache_clear()
    together = Barrier(8)

    def ask(_: int) -> dict[str, Any]:
        together.wait()
        return openapi.document()

    with ThreadPoolExecutor(8) as askers:
        first, *others = askers.map(ask, range(8))
    assert first == document
    assert all(one is first for one in others)


def test_every_address_of_the_api_is_in_it_and_no_other(document: dict[str, Any]) -> None:
    def routes(patterns: list[Any], prefix: str) -> Iterator[str]:
        for pattern in patterns:
            route = prefix + str(pattern.pattern)
            if isinstance(pattern, URLPattern):
                yield re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", f"/{route}")
            else:
                yield from routes(pattern.url_patterns, route)

    apart = {"/api/v1/openapi.json", "/api/v1/docs", "/api/v1/docs.js"}
    ours = {route for route in routes(get_resolver().url_patterns, "") if route.startswith("/api/v1/")}
    assert set(document["paths"]) == ours - apart


def test_no_reference_leads_nowhere_and_every_schema_is_one(document: dict[str, Any]) -> None:
    def references(node: Any) -> Iterator[str]:
        if isinstance(node, dict):
            yield from ([node["$ref"]] if isinstance(node.get("$ref"), str) else [])
            for value in node.values():
                yield from references(value)
        elif isinstance(node, list):
            for value in node:
                yield from references(value)

    for reference in set(references(document)):
        found: Any = document
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]
    for schema in document["components"]["schemas"].values():
        jsonschema_rs.meta.validate(schema)


def test_every_operation_has_a_name_a_group_its_errors_and_who_may_ask(document: dict[str, Any]) -> None:
    seen = set()
    for path, method, operation in operations(document):
        assert operation["operationId"] not in seen
        seen.add(operation["operationId"])
        assert operation["summary"] and operation["tags"], (path, method)
        assert operation["security"] == [{"key": []}, {"session": []}]
        assert {"400", "401", "403", "404", "503"} <= operation["responses"].keys(), (path, method)
        declared = {p["name"] for p in operation["parameters"] if p["in"] == "path"}
        assert declared == set(re.findall(r"{(\w+)}", path)), path
    assert len(seen) > 45


HEADERS = {
    ("/api/v1/features/{feature}/override/{layer}", "put"): {"If-Match", "If-None-Match", "Bespoke-User"},
    ("/api/v1/features/{feature}/pin/{layer}", "put"): {"If-Match", "If-None-Match", "Bespoke-User"},
    ("/api/v1/features/{feature}/runs", "post"): {"Prefer", "Idempotency-Key", "Cache-Control", "Bespoke-User"},
    ("/api/v1/features/{feature}/batches", "post"): {"Idempotency-Key", "Cache-Control", "Bespoke-User"},
    ("/api/v1/runs/{run_id}/events", "get"): {"Last-Event-ID", "Bespoke-User"},
    ("/api/v1/models", "get"): set(),
}


@pytest.mark.parametrize("operation", HEADERS)
def test_headers_that_count_are_named(operation: tuple[str, str], document: dict[str, Any]) -> None:
    path, method = operation
    found = document["paths"][path][method]
    assert {p["name"] for p in found["parameters"] if p["in"] == "header"} == HEADERS[operation]
    assert "412" in found["responses"] if "If-Match" in HEADERS[operation] else True
    answer = next(iter(found["responses"].values()))
    assert "Bespoke-Request" in answer["headers"]
    assert ("ETag" in answer["headers"]) == ("If-Match" in HEADERS[operation])


def test_what_may_spend_may_be_refused_for_a_budget(document: dict[str, Any]) -> None:
    with_402 = {operation["operationId"] for _, _, operation in operations(document) if "402" in operation["responses"]}
    assert with_402 == {"post_run", "post_run_replay", "post_batch", "post_preview", "post_suggest"}


def test_every_operation_says_what_it_does_takes_and_gives(document: dict[str, Any]) -> None:
    for path, method, operation in operations(document):
        assert operation["description"], (path, method)
        for parameter in operation["parameters"]:
            assert parameter.get("description"), (path, method, parameter["name"])
        for status, answer in operation["responses"].items():
            assert "$ref" in answer or answer["description"], (path, method, status)


def test_every_body_has_an_example_that_its_schema_takes(document: dict[str, Any]) -> None:
    with_body = {o["operationId"]: o["requestBody"] for _, _, o in operations(document) if "requestBody" in o}
    assert with_body.keys() == REQUESTS.keys()
    for body in with_body.values():
        shown = body["content"]["application/json"]
        validator(json.dumps(shown["schema"])).validate(shown["example"])


@pytest.mark.parametrize("name", SHAPES)
def test_an_answer_s_example_is_of_its_shape(name: str, document: dict[str, Any]) -> None:
    [example] = document["components"]["schemas"][name]["examples"]
    validator(json.dumps({"$ref": f"#/components/schemas/{name}"})).validate(example)


def test_it_is_openapi_3_1_by_the_standard_s_own_schema(document: dict[str, Any]) -> None:
    from_dict(json.loads(json.dumps(document))).validate()
    with pytest.raises(jsonschema_rs.ValidationError):
        from_dict({"openapi": "3.1.1", "info": {"title": "no version"}, "paths": {}}).validate()


def test_every_kind_of_error_is_a_component(document: dict[str, Any]) -> None:
    assert document["components"]["responses"].keys() == KINDS.keys()


def test_bodies_say_that_unknown_fields_are_refused(document: dict[str, Any]) -> None:
    bodies = [schema for name, schema in document["components"]["schemas"].items() if name.endswith("Request")]
    assert len(bodies) > 10
    assert all(schema["additionalProperties"] is False for schema in bodies)


def test_anybody_may_read_it(cast: Cast) -> None:
    answer = Client().get("/api/v1/openapi.json")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
    assert Client().get("/api/v1/docs").status_code == 200


def test_the_page_needs_nothing_from_elsewhere_and_no_inline_script(cast: Cast) -> None:
    page = Client().get("/api/v1/docs")
    html = page.content.decode()
    assert not re.search(r"https?:|//", re.sub(r"<!doctype html>", "", html))
    assert not re.search(r"<script(?![^>]*\bsrc=)|\sstyle=|<style|\son\w+=", html)
    assert "unsafe" not in page.headers["Content-Security-Policy"]


@pytest.mark.browser
@pytest.mark.skipif(not CHROMIUM.exists(), reason="Debian's Chromium is not here")
def test_chromium_shows_every_operation_under_our_policy() -> None:
    from playwright.sync_api import expect, sync_playwright

    said: list[str] = []
    with a_web_server() as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 30_000})  # what is not in view is not drawn
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(f"{address}/api/v1/docs")
        page.wait_for_selector(".opblock")
        expect(page.locator(".opblock")).to_have_count(len(list(operations(openapi.document()))))
        page.locator("#operations-Overrides-put_override .opblock-summary-control").click()
        page.wait_for_selector("#operations-Overrides-put_override .responses-table")
        browser.close()
    assert [text for text in said if "Content Security Policy" in text or "Error" in text] == []
    assert [url for url in asked if not url.startswith((address, "data:"))] == []


@contextmanager
def a_web_server() -> Iterator[str]:
    """The application behind a real port, without a database: these pages need none."""

    class Silent(WSGIRequestHandler):
        def log_message(self, *_: Any) -> None:
            """Nobody reads it."""

    server = make_server("127.0.0.1", 0, get_wsgi_application(), handler_class=Silent)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
