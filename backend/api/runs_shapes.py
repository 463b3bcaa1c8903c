"""The shapes of what spends money: runs, batches, previews, suggestions, usage."""

from .shapes import (
    ANYTHING,
    CHANGE,
    COST,
    ID,
    NUMBER,
    OBJECT,
    RECEIPT,
    TEXT,
    TIME,
    TRUTH,
    array,
    choice,
    maybe,
    named,
    shape,
)

USAGE = shape(input_tokens=NUMBER, cached_input_tokens=NUMBER, output_tokens=NUMBER)
CALL = shape(
    number=NUMBER, kind=TEXT, outcome=maybe(TEXT), detail=maybe(TEXT), model=TEXT, provider=TEXT, started=TIME,
    finished=maybe(TIME), input_tokens=NUMBER, cached_input_tokens=NUMBER, output_tokens=NUMBER, cost=NUMBER,
    prices=shape(input=NUMBER, cached_input=NUMBER, output=NUMBER),
    own_key={**maybe(ID), "description": "the organisation's own provider key that it was made with, at no cost"},
)  # fmt: skip
FEEDBACK = shape(feedback=maybe(OBJECT))
RUN = named("Run", shape(
    "calls",
    id=ID, feature=TEXT, subject={**TEXT, "description": "whom it was run for; empty: the organisation"},
    state=choice("queued", "running", "succeeded", "failed", "cancelled"), input=ANYTHING, output=ANYTHING,
    error=maybe(shape("detail", "problems", type=TEXT, title=TEXT, detail=TEXT, problems=array(OBJECT))),
    receipt=RECEIPT, usage=maybe(USAGE), cost=COST, attempts=NUMBER, cached=TRUTH, feedback=maybe(OBJECT),
    batch={**maybe(ID), "description": "the batch that it is an item of"},
    replay_of={**maybe(ID), "description": "the run whose input was asked again"},
    stored={**TRUTH, "description": "whether input and output are kept"},
    input_digest={**maybe(TEXT), "description": "SHA-256 of an input that was not kept"}, output_digest=maybe(TEXT),
    created=TIME, started=maybe(TIME), finished=maybe(TIME), calls=array(CALL),
))  # fmt: skip
BATCH = named("Batch", shape(
    id=ID, feature=TEXT, state=choice("running", "cancelling", "finished", "cancelled"),
    items={**NUMBER, "description": "how many came"},
    counts=shape(queued=NUMBER, running=NUMBER, succeeded=NUMBER, failed=NUMBER, cancelled=NUMBER, refused=NUMBER),
    cached={**NUMBER, "description": "how many were answered with the output of an equal run"},
    usage=shape(input_tokens=NUMBER, cached_input_tokens=NUMBER, output_tokens=NUMBER), cost=COST,
    estimate={**maybe(shape(cost_left=maybe(COST), seconds_left=maybe(NUMBER))),
              "description": "what is left by what was; null when nothing is left"},
    receipt={**RECEIPT, "description": "of all its runs"}, stored=TRUTH, created=TIME, finished=maybe(TIME),
))  # fmt: skip
BATCH_RESULT = named("BatchResult", shape(
    place={**NUMBER, "description": "of the item, from 0"}, key={**TEXT, "description": "what the caller called it"},
    run={**maybe(ID), "description": "null for what was refused"},
    state=choice("queued", "running", "succeeded", "failed", "cancelled", "refused"), output=ANYTHING,
    error=maybe(shape("detail", "problems", type=TEXT, title=TEXT, detail=TEXT, problems=array(OBJECT))),
    cached=TRUTH, cost=COST,
))  # fmt: skip
_TRIED = shape(
    state=choice("queued", "running", "succeeded", "failed", "cancelled", "refused"), output=ANYTHING,
    error=maybe(shape("detail", "problems", type=TEXT, title=TEXT, detail=TEXT, problems=array(OBJECT))),
    usage=maybe(USAGE), cost=COST,
)  # fmt: skip
_DIFFERENCE = shape(
    "lines",
    pointer={**TEXT, "description": "where in the output (RFC 6901)"}, kind=choice("added", "removed", "changed"),
    before=ANYTHING, after=ANYTHING, lines=array(shape(kind=choice("same", "removed", "added"), text=TEXT)),
)  # fmt: skip
PREVIEW = named("Preview", shape(
    id=ID, feature=TEXT, layer=choice("tenant", "user", "vendor"), state=choice("running", "done"),
    before=RECEIPT, after=RECEIPT, same={**TRUTH, "description": "whether both are one behavior"},
    changes=array(CHANGE),
    results=array(shape(
        input=ANYTHING, before=_TRIED, after=_TRIED,
        same={**maybe(TRUTH), "description": "null until both have ended"},
        diff={**maybe(array(_DIFFERENCE)), "description": "null where there are no two outputs"},
    )),
    done={**NUMBER, "description": "inputs that both sides are through with"}, all=NUMBER,
    cost=COST, most={**COST, "description": "what it could have cost at the worst"}, created=TIME,
    expires={**TIME, "description": "when it is put away with its outputs"},
))  # fmt: skip
SUGGESTION = named("Suggestion", shape(
    id={**ID, "description": "the run of `customize` that it is"}, feature=TEXT, layer=choice("user", "tenant"),
    state={**choice("working", "ready", "nothing", "failed"), "description": "nothing: no operation could be saved"},
    request=TEXT, reason={**TEXT, "description": "the model's words"},
    operations=array(shape(
        id=TEXT, field=TEXT, operation=choice("set", "append", "remove"), value=ANYTHING, allowed=TRUTH,
        before=ANYTHING, after=ANYTHING, problems=array(shape(pointer=TEXT, rule=TEXT, message=TEXT)),
    )),
    override={**maybe(OBJECT), "description": "the layer's whole override with what is allowed, as a PUT takes it"},
    revision={**NUMBER, "description": "of the layer as it is; the ETag says the same"}, error=maybe(OBJECT),
    receipt=RECEIPT, cost=COST,
))  # fmt: skip
USAGE_ROW = shape(
    key=TEXT, runs=NUMBER, input_tokens=NUMBER, cached_input_tokens=NUMBER, output_tokens=NUMBER, cost=COST,
    cached=NUMBER, estimated_tokens={
        **shape(base=NUMBER, tenant=NUMBER, user=NUMBER),
        "description": "about how many of the input tokens each layer's texts made",
    },
)  # fmt: skip
