"""What the OpenAPI document says of the run doors that are plain views, which the generator cannot read."""

from typing import Any

from features.runs.batches import MOST_ITEMS
from features.runs.items import LONGEST_KEY
from features.runs.preview import MOST_INPUTS
from features.runs.suggest import LONGEST

from .runs_shapes import BATCH, BATCH_RESULT, PREVIEW, RUN, SUGGESTION
from .schema import header
from .shapes import ANYTHING, EVENTS, ID, JSON, OBJECT, TEXT, Schema, array, choice, maybe, shape

_TAG = "Runs"
_RUN_ID = {"name": "run_id", "in": "path", "required": True, "schema": ID}
_BATCH_ID = {"name": "batch_id", "in": "path", "required": True, "schema": ID}
LINES = "application/x-ndjson"
_ITEM: Schema = {
    "type": "object",
    "properties": {
        "input": {"description": "what the feature's input schema says"},
        "key": {"type": "string", "maxLength": LONGEST_KEY, "description": "the caller's own, given back"},
    },
    "required": ["input"],
    "additionalProperties": False,
}
_FEATURE = {"name": "feature", "in": "path", "required": True, "schema": TEXT}
_LOCATION = {"Location": {"schema": TEXT, "description": "where the run is"}}
_REPLAYED = {"Idempotency-Replayed": {"schema": TEXT, "description": "`true`: the key has made this run before"}}
_SUNSET = {
    "Sunset": {
        "schema": TEXT,
        "example": "Sun, 31 Jan 2027 12:00:00 GMT",
        "description": "only where the feature is to be retired: from then on nothing of it runs (RFC 8594)",
    }
}
_STREAM = {
    "schema": TEXT,
    "example": 'id: 1772530200000-0\nevent: done\ndata: {"id": "…", "state": "succeeded"}\n\n',
}
_RUN: dict[str, Any] = {JSON: {"schema": RUN}}


_PREVIEWED = {"Location": {"schema": TEXT, "description": "where the preview is"}}
_FEW = {"type": "integer", "minimum": 1, "maximum": MOST_INPUTS}
_ONE = {"type": "integer", "minimum": 1}
_PREVIEW: Schema = {
    "type": "object",
    "title": "For organisations",
    "properties": {
        "layer": {**choice("user", "tenant"), "default": "user"},
        "override": {**OBJECT, "description": "what a PUT of the override would say"},
        "version": {**_ONE, "description": "a version released to the caller, with the caller's own changes on it"},
        "pin": {**OBJECT, "description": "what a PUT of the pin would say"},
        "restore": {**OBJECT, "description": "`at` or `run`"},
        "resolve": {**OBJECT, "description": "fields with keep, take, hold or an operation"},
        "inputs": {"type": "array", "items": ANYTHING, "minItems": 1, "maxItems": MOST_INPUTS},
        "recent": {**_FEW, "description": "how many of the newest distinct inputs of one's own runs"},
    },
    "additionalProperties": False,
}
_SAMPLES: Schema = {
    "type": "object",
    "title": "For operators",
    "properties": {
        "from": {**maybe(_ONE), "description": "null: the current one"},
        "version": _ONE,
        "behavior": {**OBJECT, "description": "one that is not published"},
        "rules": OBJECT,
        "samples": _FEW,
    },
    "additionalProperties": False,
}


def _headers(**described: str) -> list[Schema]:
    made = (header(name.replace("_", "-"), words) for name, words in described.items())
    return [{"name": h.name, "in": "header", "schema": TEXT, "description": h.description} for h in made]


def _answer(description: str, content: Schema, **headers: Schema) -> Schema:
    return {"description": description, "content": content, "headers": headers}


_ASKING = _headers(
    Prefer="`wait=N` seconds, or `respond-async`",
    Idempotency_Key="a quoted string or bare `[A-Za-z0-9._:~-]{1,255}`, good for 24 hours: the same request makes one "
    "run, and another one with this key is refused with 422",
)
_TAKEN_IN: Schema = {
    "200": _answer("The run has ended", {**_RUN, EVENTS: _STREAM}, **_LOCATION, **_REPLAYED, **_SUNSET),
    "202": _answer("It is taken in, and goes on", _RUN, **_LOCATION, **_REPLAYED, **_SUNSET),
}

_SUGGEST: Schema = {
    "type": "object",
    "properties": {
        "request": {"type": "string", "minLength": 1, "maxLength": LONGEST},
        "layer": {**choice("user", "tenant"), "default": "user"},
    },
    "required": ["request"],
    "additionalProperties": False,
}

RUN_PATHS: dict[str, Schema] = {
    "/api/v1/features/{feature}/runs": {
        "post": {
            "operationId": "post_run",
            "summary": "Run a feature",
            "description": "Waits for the end as long as `Prefer: wait=N` says (20 s if not said, at most 120), and "
            "answers 202 with a Location when that is over. `Accept: text/event-stream` streams the events `queued`, "
            "`started`, `delta`, `repair`, and `done`, `failed` or `cancelled`.",
            "tags": [_TAG],
            "parameters": [
                _FEATURE,
                *_ASKING,
                *_headers(Cache_Control="`no-cache`: ask the model even if there is the output of an equal run"),
            ],
            "requestBody": {
                "required": True,
                "content": {
                    JSON: {
                        "schema": {
                            "type": "object",
                            "properties": {
                                "input": {"description": "what the feature's input schema says"},
                                "store": {
                                    "type": "boolean",
                                    "default": True,
                                    "description": "false: input and output are deleted soon after the end, and only "
                                    "their SHA-256 and what was used is kept",
                                },
                            },
                            "required": ["input"],
                            "additionalProperties": False,
                        }
                    }
                },
            },
            "responses": _TAKEN_IN,
        }
    },
    "/api/v1/runs/{run_id}/replay": {
        "post": {
            "operationId": "post_run_replay",
            "summary": "Run its input again: on the same behavior, today's, or a version",
            "description": "`same` is the behavior of the run's receipt, with the model that it named (a version that "
            "was withdrawn since is replaced); `current` what the caller is served now; a version comes with the "
            "caller's own changes on it. Nothing of the caller's moves. Waits and streams as running a feature does.",
            "tags": [_TAG],
            "parameters": [_RUN_ID, *_ASKING],
            "requestBody": {
                "required": True,
                "content": {
                    JSON: {
                        "schema": {
                            "type": "object",
                            "properties": {"on": {"oneOf": [choice("same", "current"), shape(version=_ONE)]}},
                            "required": ["on"],
                            "additionalProperties": False,
                        }
                    }
                },
            },
            "responses": _TAKEN_IN,
        }
    },
    "/api/v1/runs/{run_id}/events": {
        "get": {
            "operationId": "get_run_events",
            "summary": "A run's events, as they come",
            "description": "Server-sent events: `queued`, `started`, `delta` with pieces of the answer's text, "
            "`repair` when it is asked for again, and last `done`, `failed` or `cancelled` with the whole run.",
            "tags": [_TAG],
            "parameters": [_RUN_ID, *_headers(Last_Event_ID="go on after this event")],
            "responses": {"200": _answer("Events up to the one that ends the run", {EVENTS: _STREAM})},
        }
    },
    "/api/v1/runs/{run_id}/cancel": {
        "post": {
            "operationId": "post_run_cancel",
            "summary": "Cancel a run",
            "description": "One that waits is cancelled at once. One that runs is asked to stop, which its events "
            "tell; what its calls have cost until then is counted.",
            "tags": [_TAG],
            "parameters": [_RUN_ID],
            "responses": {
                "200": _answer("It had not begun, and is cancelled", _RUN),
                "202": _answer("Its worker is asked to stop", _RUN),
            },
        }
    },
    "/api/v1/features/{feature}/batches": {
        "post": {
            "operationId": "post_batch",
            "summary": "Run a feature on many inputs",
            "description": f"A JSON list of items, or NDJSON with one on each line: at most {MOST_ITEMS}. All are "
            "carried out on the behavior that is served now, behind everything interactive. An item that cannot be "
            "taken in is `refused` in the results and stops no other; on any other error none is taken in.",
            "tags": ["Batches"],
            "parameters": [
                _FEATURE,
                *_ASKING[1:],
                *_headers(Cache_Control="`no-cache`: ask the model even if there is the output of an equal run"),
                {
                    "name": "store",
                    "in": "query",
                    "schema": {"type": "boolean", "default": True},
                    "description": "false: inputs and outputs are deleted an hour after the batch's end",
                },
            ],
            "requestBody": {
                "required": True,
                "content": {JSON: {"schema": array(_ITEM)}, LINES: {"schema": TEXT, "example": '{"input": {}}\n'}},
            },
            "responses": {
                "202": _answer(
                    "It is taken in",
                    {JSON: {"schema": BATCH}},
                    Location={"schema": TEXT, "description": "where the batch is"},
                    **_REPLAYED,
                    **_SUNSET,
                ),
            },
        }
    },
    "/api/v1/batches/{batch_id}/results": {
        "get": {
            "operationId": "get_batch_results",
            "summary": "A batch's results so far, a line for each item, in their order",
            "description": "What has not ended is among them (`queued`, `running`). A transfer that broke goes on with "
            "`after` the place of the last line that came whole.",
            "tags": ["Batches"],
            "parameters": [
                _BATCH_ID,
                {"name": "after", "in": "query", "schema": _ONE, "description": "go on after the item of this place"},
            ],
            "responses": {"200": _answer("Lines of results", {LINES: {"schema": BATCH_RESULT}})},
        }
    },
    "/api/v1/batches/{batch_id}/cancel": {
        "post": {
            "operationId": "post_batch_cancel",
            "summary": "Cancel what has not ended of a batch",
            "description": "Results that there are stay, and what was spent is counted.",
            "tags": ["Batches"],
            "parameters": [_BATCH_ID],
            "responses": {
                "200": _answer("Nothing of it is worked on any more", {JSON: {"schema": BATCH}}),
                "202": _answer("The workers of what runs are asked to stop", {JSON: {"schema": BATCH}}),
            },
        }
    },
    "/api/v1/features/{feature}/preview": {
        "post": {
            "operationId": "post_preview",
            "summary": "Try a change on some inputs before it is made",
            "description": "Runs the behavior served now and the one that the change would bring, and answers both "
            "outputs side by side. Say one of `override`, `version`, `pin`, `restore` and `resolve`, as their own "
            "addresses take them, or none of them: the end of one's pin, or the newest version. Say on which `inputs`, "
            "or on how many of one's own `recent` ones. Nothing is saved; costs are counted and capped. Operators say "
            "`version` or `behavior` (and `from`, the version to compare with, if not the current one), and how many "
            "of its `samples`.",
            "tags": ["Previews"],
            "parameters": [_FEATURE, *_headers(Prefer="`wait=N` seconds, or `respond-async`")],
            "requestBody": {"required": True, "content": {JSON: {"schema": {"oneOf": [_PREVIEW, _SAMPLES]}}}},
            "responses": {
                "200": _answer("All outputs are there", {JSON: {"schema": PREVIEW}}, **_PREVIEWED),
                "202": _answer("It goes on", {JSON: {"schema": PREVIEW}}, **_PREVIEWED),
            },
        }
    },
    "/api/v1/features/{feature}/suggest": {
        "post": {
            "operationId": "post_suggest",
            "summary": "Say in plain words what to change, and get operations to look at",
            "description": "Asks the feature `customize` with the wish and the fields that the caller may change, and "
            "judges each operation that comes back as saving it would be. Nothing is saved: PUT the `override`, or "
            "what one keeps of it, with the ETag as If-Match. It is a run like any other, with receipt and cost.",
            "tags": ["Suggestions"],
            "parameters": [_FEATURE, *_ASKING, *_headers(Cache_Control="`no-cache`: ask the model again")],
            "requestBody": {"required": True, "content": {JSON: {"schema": _SUGGEST}}},
            "responses": {
                "200": _answer("What came of it", {JSON: {"schema": SUGGESTION}}, **_LOCATION, **_REPLAYED),
                "202": _answer("It is being asked", {JSON: {"schema": SUGGESTION}}, **_LOCATION, **_REPLAYED),
            },
        }
    },
}
