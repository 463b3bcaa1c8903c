"""A small caller of the public HTTP API: what an integrating developer would write, with nothing but urllib."""

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Json = Any
PATIENCE = 130  # seconds; a run may be waited for 120
NOTHING_YET = '"0"'  # the ETag of an override that was never saved
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # loopback never goes through a proxy


class Refused(Exception):
    """The API answered with a problem (RFC 9457)."""

    def __init__(self, call: str, status: int, problem: Mapping[str, Json]) -> None:
        self.status, self.problem = status, problem
        wrong = "".join(f"\n  {e.get('pointer')}: {e.get('message')}" for e in problem.get("errors", ()))
        super().__init__(f"{call} → {status} {problem.get('detail') or problem.get('title', '')}{wrong}")


@dataclass(frozen=True, slots=True)
class Answer:
    """A successful answer."""

    status: int
    headers: Mapping[str, str]
    body: Json


@dataclass(frozen=True, slots=True)
class Caller:
    """One key, and for a service key the customer's own user that it speaks for."""

    name: str
    base_url: str
    key: str = field(repr=False)
    acts_for: str | None = None

    def call(self, method: str, path: str, body: Json = None, headers: Mapping[str, str] | None = None) -> Answer:
        """Call /api/v1`path`. Raises Refused, and URLError when nobody answers."""
        request = urllib.request.Request(f"{self.base_url}/api/v1{path}", method=method)  # noqa: S310  # http from our caller
        request.add_header("Authorization", f"Bearer {self.key}")
        if self.acts_for:
            request.add_header("Bespoke-User", self.acts_for)
        for name, value in (headers or {}).items():
            request.add_header(name, value)
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        try:
            with _direct.open(request, timeout=PATIENCE) as answer:
                return Answer(answer.status, answer.headers, _document(answer.read()))
        except urllib.error.HTTPError as error:
            raise Refused(f"{self.name}: {method} {path}", error.code, _document(error.read()) or {}) from None

    def get(self, path: str) -> Json:
        return self.call("GET", path).body

    def replace(self, path: str, body: Json) -> Json:
        """PUT what shall stand at `path`, or with None DELETE it, with the ETag that was read right before."""
        seen = self.call("GET", path).headers["ETag"]
        condition = {"If-None-Match": "*"} if seen == NOTHING_YET else {"If-Match": seen}
        return self.call("PUT" if body is not None else "DELETE", path, body, condition).body

    def run(self, feature: str, question: Json, *, patience: int = 120) -> Json:
        """Run a feature and wait for the end, whatever it is. Raises Refused, TimeoutError."""
        prefer = {"Prefer": f"wait={patience}"}
        answer = self.call("POST", f"/features/{feature}/runs", {"input": question}, prefer)
        if answer.status == 202:
            raise TimeoutError(f"{self.name}'s run of {feature} is still {answer.body['state']} after {patience} s.")
        return answer.body


def _document(content: bytes) -> Json:
    try:
        return json.loads(content) if content else None
    except ValueError:
        return {"title": content[:300].decode(errors="replace")}
