"""The story of product.md in six steps, played through the public HTTP API; it can be told again on the same data.

It asserts digests, isolation and that outputs satisfy their schemas, never what the model said.
"""

import secrets
from typing import Final

from rich.console import Console

from backend.local.client import Caller, Json
from backend.local.demo import END_USER, Stage, StoryBroke, in_words

__all__ = ["Story", "StoryBroke", "play"]

FEATURES: Final = ("triage", "summarize", "reply", "extract")
MESSAGE: Final = (
    "Hello, I was charged twice for my March subscription: 29 EUR on the 3rd and 29 EUR again on the 4th. "
    "Please refund one of them. My invoice is INV-2291. Best, Jana Novak, jana.novak@example.org"
)
WHY: Final = "The demo's story: answers get a subject line"
OWN_CLOSING: Final = "End with: Kind regards, the service desk"
HELD: Final = f"{END_USER} of Acme"
NEW_CLOSING: Final = "{% if vars.signature %}Below the answer, put: {{ vars.signature }}{% endif %}"
NEW_RULE: Final = "Give the answer a subject line of at most eight words, for the mail program."
NEW_FEATURE: Final = {
    "title": "Name the topic",
    "summary": "Says in a word what a message is about.",
    "behavior": {
        "instructions": {"task": "You read a message and say which topic it is about."},
        "prompt": "{{ input.message | fence }}",
        "input": {
            "type": "object",
            "properties": {"message": {"type": "string", "minLength": 1, "maxLength": 4000}},
            "required": ["message"],
            "additionalProperties": False,
        },
        "output": {
            "type": "object",
            "properties": {"topic": {"enum": ["money", "delivery", "login", "other"]}},
            "required": ["topic"],
            "additionalProperties": False,
        },
        "examples": {
            "parcel": {"input": {"message": "My parcel has not arrived."}, "output": {"topic": "delivery"}},
            "refund": {"input": {"message": "I paid too much."}, "output": {"topic": "money"}},
        },
        "model": {"name": "standard", "temperature": 0, "max_output_tokens": 40},
    },
    "rules": {},
}


def play(base_url: str, console: Console) -> Stage:
    """Tell the whole story, and return its stage. Raises StoryBroke at the first thing that does not hold."""
    story = Story(Stage(base_url, console))
    story.put_everything_back()
    story.same_for_everybody()
    story.shaped_by_a_customer_and_a_person()
    story.the_vendor_publishes()
    story.one_person_puts_it_back()
    story.a_customer_stays_and_the_vendor_returns()
    story.a_feature_from_nowhere()
    console.print("\n[bold green]All six steps held.[/]\n")
    return story.stage


class Story:
    """What the steps remember of each other: digests, versions and times."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.first_version = 0
        self.at_first: dict[str, str] = {}
        self.shaped: dict[str, str] = {}
        self.published: dict[str, str] = {}
        self.restored: dict[str, str] = {}
        self.shaped_at = ""

    def put_everything_back(self) -> None:
        """Undo what an earlier telling, or somebody who looked around, left behind for the demo accounts."""
        stage = self.stage
        layers: list[tuple[Caller, str]] = [(stage.ada, "tenant"), (stage.gus, "tenant")]
        layers += [(who.asks, "user") for who in stage.subjects if not who.query]
        for feature in FEATURES:
            for caller, layer in layers:
                inherit_all(caller, f"/features/{feature}", layer)
        for rollout in stage.operator.get("/features/reply/rollouts")["items"]:
            if rollout["state"] in ("running", "paused"):
                stage.operator.call("POST", f"/rollouts/{rollout['id']}/rollback", {"why": "the demo begins anew"})
        for row in stage.operator.get("/features")["items"]:
            if row["title"] == NEW_FEATURE["title"]:  # each telling makes one: earlier ones leave everybody's menu
                stage.operator.call("PUT", f"/features/{row['feature']}/availability", {"listed_only": True})
        versions = stage.operator.get("/features/reply/versions")["items"]
        if any(version["current"] and version["message"] == WHY for version in versions):
            earlier = next(version for version in versions if version["message"] != WHY)
            stage.operator.call("PUT", "/features/reply/current", {"version": earlier["version"]})

    def same_for_everybody(self) -> None:
        stage = self.stage
        stage.step(1, "The same message, two customers, four features")
        stage.say(f"[italic]{MESSAGE}[/]\n")
        asked = [
            (caller, feature, question_for(caller, feature))
            for feature in FEATURES
            for caller in (stage.bob, stage.mallory)
        ]
        results = stage.run_all(asked)
        stage.show_runs(asked, results)
        stage.expect_sound(asked, results)
        for feature in FEATURES:
            digests = stage.digests(feature)
            stage.expect(f"everybody has the vendor's own {feature}", len(set(digests.values())) == 1)
        self.at_first = stage.digests("reply")
        self.first_version = stage.bob.get("/features/reply/behavior")["receipt"]["base"]

    def shaped_by_a_customer_and_a_person(self) -> None:
        stage = self.stage
        stage.step(2, "Acme shapes reply for all of Acme, Alice shapes it again for herself")
        for caller, layer, values in (
            (stage.ada, "tenant", {"vars.tone": "formal", "vars.language": "German"}),
            (stage.alice, "user", {"vars.tone": "warm", "vars.language": "English"}),
            (stage.acme_software, "user", {"instructions.closing": OWN_CLOSING}),
        ):
            caller.replace(f"/features/reply/override/{layer}", {"set": values})
            for_whom = f"{caller.name}, for {caller.acts_for}," if caller.acts_for else caller.name
            stage.say(f"  {for_whom} set {in_words(f'{field} to {value!r}' for field, value in values.items())}")
        self.shaped = stage.digests("reply")
        stage.show_change(self.at_first, self.shaped)
        stage.expect_moved(self.at_first, self.shaped, stage.labels("acme"))
        stage.expect("Bob has what Acme has", self.shaped["Bob"] == self.shaped["Acme itself"])
        stage.expect("Alice has her own", self.shaped["Alice"] != self.shaped["Acme itself"])
        asked = [(who, "reply", question_for(who, "reply")) for who in (stage.bob, stage.alice, stage.mallory)]
        results = stage.run_all(asked)
        stage.show_runs(asked, results)
        stage.expect_sound(asked, results)
        self.shaped_at = results[1]["finished"]

    def the_vendor_publishes(self) -> None:
        stage = self.stage
        version = stage.operator.get(f"/features/reply/versions/{self.first_version}")
        made = stage.operator.call(
            "POST",
            "/features/reply/versions",
            {
                "behavior": with_subject_line(version["fields"]),
                "rules": version["rules"],
                "message": WHY,
                "publish": "none",
            },
        ).body["version"]
        stage.step(3, f"The vendor publishes version {made} of reply: answers now need a subject line")
        stage.expect("publishing alone moves nobody", stage.digests("reply") == self.shaped)
        self.see_the_impact(made)
        self.roll_out(made)

    def see_the_impact(self, version: int) -> None:
        """Before anybody is moved: whom it reaches, who merges cleanly, who must decide first."""
        stage = self.stage
        impact = stage.operator.call("POST", "/features/reply/impact", {"to": version}, {"Prefer": "wait=30"}).body
        if impact["state"] != "done":
            raise StoryBroke(f"The impact is still {impact['state']} after 30 s.")
        rows = stage.operator.get(f"/impacts/{impact['id']}/rows?limit=200")["items"]
        stage.show_impact(rows)
        outcomes = {(row["tenant_name"], row["name"]): row["outcome"] for row in rows}
        conflicts = {name for (tenant, name), outcome in outcomes.items() if outcome == "conflict"}
        stage.expect(f"only {END_USER} of Acme must decide first", conflicts == {END_USER})
        stage.expect("nothing was moved by looking", stage.digests("reply") == self.shaped)

    def roll_out(self, version: int) -> None:
        """Globex first, by name; then everybody. Whose change conflicts stays where they are."""
        stage = self.stage
        plan = {"to": version, "steps": [{"tenants": ["globex"]}, {"percent": 100}], "message": WHY}
        rollout = stage.operator.call("POST", "/features/reply/rollouts", plan).body
        first = stage.digests("reply")
        stage.say("  the rollout's first step, Globex by name:")
        stage.show_change(self.shaped, first)
        stage.expect_moved(self.shaped, first, stage.labels("globex"))
        stage.operator.call("POST", f"/rollouts/{rollout['id']}/advance")
        self.published = stage.digests("reply")
        stage.say("  the second step, everybody:")
        stage.show_change(first, self.published)
        stage.expect_moved(first, self.published, stage.labels("acme") - {HELD})
        ours = stage.bob.get("/features/reply/behavior")["receipt"]
        stage.expect(
            f"Bob is on version {version} with Acme's tone", (ours["base"], bool(ours["tenant"])) == (version, True)
        )
        theirs = stage.acme_software.get("/features/reply/behavior")["receipt"]
        stage.expect(
            f"{HELD} is held on version {self.first_version} by the change to instructions.closing",
            (theirs["base"], theirs["held"]["fields"]) == (self.first_version, ["instructions.closing"]),
        )

    def one_person_puts_it_back(self) -> None:
        stage = self.stage
        stage.step(4, f"Alice restores reply to how it worked at {self.shaped_at}")
        answer = stage.alice.call("POST", "/features/reply/restore", {"at": self.shaped_at, "layer": "user"}).body
        stage.say(f"  the answer: {answer['result']}{''.join(f', {reason}' for reason in answer['reasons'])}")
        self.restored = stage.digests("reply")
        stage.show_change(self.published, self.restored)
        stage.expect("Alice's digest is what it was, byte for byte", self.restored["Alice"] == self.shaped["Alice"])
        stage.expect_moved(self.published, self.restored, {"Alice"})
        asked = [(who, "reply", question_for(who, "reply")) for who in (stage.alice, stage.mallory)]
        results = stage.run_all(asked)
        stage.show_runs(asked, results)
        stage.expect_sound(asked, results)
        stage.expect("Mallory's answers have a subject line, Alice's do not", subject_lines(results) == [False, True])

    def a_customer_stays_and_the_vendor_returns(self) -> None:
        stage, first = self.stage, self.first_version
        stage.step(5, f"Acme pins version {first}; the vendor moves everybody else back to it")
        wanted = {"kind": "base", "version": first, "reason": "the demo's story"}
        stage.ada.call("PUT", "/features/reply/pin/tenant", wanted)
        pinned = stage.digests("reply")
        stage.say("  after Acme's pin:")
        stage.show_change(self.restored, pinned)
        stage.expect_moved(self.restored, pinned, stage.labels("acme") - {"Alice", HELD})
        stage.expect("Acme has what it had before", pinned["Bob"] == self.shaped["Bob"])
        stage.operator.call("PUT", "/features/reply/current", {"version": first})
        returned = stage.digests("reply")
        stage.say(f"  after the vendor's move to version {first}:")
        stage.show_change(pinned, returned)
        stage.expect_moved(pinned, returned, stage.labels("globex"))
        stage.expect("Globex has what it had at first", returned["Mallory"] == self.at_first["Mallory"])

    def a_feature_from_nowhere(self) -> None:
        stage, key = self.stage, f"topic-{secrets.token_hex(3)}"
        stage.step(6, f"A feature that did not exist a minute ago: {key}")
        stage.operator.call("POST", "/features", {"feature": key, **NEW_FEATURE})
        asked = [(who, key, {"message": MESSAGE}) for who in (stage.mallory, stage.acme_software)]
        results = stage.run_all(asked)
        stage.show_runs(asked, results)
        stage.expect_sound(asked, results)


def question_for(caller: Caller, feature: str) -> dict[str, str]:
    """The message in the place where the feature's input wants its text."""
    wanted = caller.get(f"/features/{feature}")["input"]["required"]
    return dict.fromkeys(wanted, MESSAGE)


def inherit_all(caller: Caller, feature: str, layer: str) -> None:
    """No pin and no operations any more, for this caller's layer."""
    if caller.get(f"{feature}/pin/{layer}")["pin"]:
        caller.call("DELETE", f"{feature}/pin/{layer}")
    override = caller.get(f"{feature}/override/{layer}")
    if any(override.get(part) for part in ("set", "append", "remove", "rules")):
        caller.replace(f"{feature}/override/{layer}", None)


def with_subject_line(behavior: Json) -> Json:
    """A breaking change: one section more and one reworded; an output with one more property, in the examples too."""
    fields = dict(behavior)
    output = fields["output"]
    subject = {"type": "string", "maxLength": 80}
    fields["output"] = {
        **output,
        "properties": {**output["properties"], "subject": subject},
        "required": [*output["required"], "subject"],
    }
    fields["instructions.subject"], fields["instructions.closing"] = NEW_RULE, NEW_CLOSING
    for name, example in behavior.items():
        if name.startswith("examples."):
            fields[name] = {**example, "output": {**example["output"], "subject": "Your message to us"}}
    return fields


def subject_lines(results: list[Json]) -> list[bool]:
    return ["subject" in run["output"] for run in results]
