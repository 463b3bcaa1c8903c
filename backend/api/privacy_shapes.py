"""The shapes of answers about people's data and of the audit's chains."""

from .shapes import ID, NUMBER, OBJECT, TEXT, TIME, TRUTH, array, choice, maybe, named, shape

EXPORT = named("Export", shape(
    id=ID, state={**choice("queued", "running", "done", "failed", "expired"), "description": "`done`: it can be taken"},
    created=TIME, finished=maybe(TIME), expires=maybe(TIME), bytes=NUMBER,
    sha256=maybe({**TEXT, "description": "of the file, in hexadecimal"}),
    manifest={**maybe(OBJECT), "description": "the files in it, with their rows and digests, and what is left out"},
))  # fmt: skip
ERASURE = named("Erasure", shape(
    id=ID, state=choice("queued", "running", "done", "failed"), of=choice("member", "external", "tenant"),
    subject={**maybe(ID), "description": "the subject's id; null for an organisation"},
    created=TIME, finished=maybe(TIME),
    report={**OBJECT, "description": "what was erased and what is kept, by table, and why; grows while it is done"},
    digest=maybe({**TEXT, "description": "SHA-256 of the report's canonical form (RFC 8785), as the audit has it"}),
))  # fmt: skip
VERIFIED = named("VerifiedChain", shape(
    whole={**maybe(TRUTH), "description": "whether nothing is wrong; null: nothing so far, and the chain goes on, so"
           " ask again with `after` and `digest` as they are here"},
    events={**NUMBER, "description": "how many were looked at now"},
    sequence={**NUMBER, "description": "of the last of them"},
    digest={**TEXT, "description": "of that event and all before it, in hexadecimal"},
    end={**NUMBER, "description": "the sequence of the chain's last event"},
    faults=array(shape(
        sequence=NUMBER, kind=choice("missing", "twice", "changed", "beyond", "cut", "replaced"),
    )),
))  # fmt: skip
