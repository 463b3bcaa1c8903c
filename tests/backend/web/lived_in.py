"""A product that people have lived in for a while: every page of the dashboard has something to show."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

from features.actions.policy import set_policy
from features.actions.rollouts import pause
from features.actions.targets import add_target, end_target
from features.actions.versions import create_feature
from features.find import find_feature
from features.impact import look as ask
from features.impact.work import work_through
from features.runs.accept import accept, find_run
from features.runs.batches import take_batch
from features.runs.budgets import add_budget
from features.runs.finish import rate
from features.runs.items import Body
from features.runs.taking import Asked
from tenants.actor import Actor
from tenants.provider_keys import add_provider_key
from tenants.secrets import Secret
from tenants.support import grant_support
from tenants.webhooks import add_webhook, send_test
from tests.cast import GREET, GREET_RULES, Cast

from .vendor_story import begin, measure, tell

# Addresses that show nothing by themselves: they answer a form, a part of a page, or a file.
NO_PAGES = {
    "switch", "notices_count", "notice_read", "stop", "again", "rate", "org_usage_csv", "run_file", "join",
    "batch_csv",
}  # fmt: skip


@dataclass
class LivedIn:
    """The ids of what is there, by name, for the addresses of pages."""

    ids: Mapping[str, str] = field(default_factory=dict)

    def pages(self) -> dict[str, list[tuple[str, str]]]:
        """(name of the address, path) of every page, by who looks at it."""
        member = [
            ("home", "/"), ("use", "/f/greet"), ("mine", "/f/greet/mine"), ("mine", "/f/greet/mine?edit=vars.tone"),
            ("mine", "/f/greet/mine?revisions=1"), ("try", "/f/greet/try"), ("timeline", "/f/greet/timeline"), ("upgrade", "/f/greet/upgrade"),
            ("runs", "/runs"), ("run", "/runs/{run}"), ("run", "/runs/{failed}"), ("notices", "/notices"),
            ("compare", "/runs/compare?a={run}&b={second}"), ("correct", "/runs/{run}/correct"), ("me", "/me"),
            ("mine", "/f/greet/mine?promote=1"), ("mine", "/f/greet/mine?add=section"), ("mine", "/f/greet/mine?add=example"),
            ("timeline", "/f/greet/timeline?run={run}"), ("me", "/me?leave=yes"),
            ("my_keys", "/me/keys"), ("batch_new", "/f/greet/batches"), ("batches", "/batches"),
            ("batch", "/batches/{batch}"), ("batch", "/batches/{batch}?show=all"), ("batch", "/batches/{waiting}?confirm=cancel"),
        ]  # fmt: skip
        owner = [
            ("org_mine", "/org/f/greet"), ("org_timeline", "/org/f/greet/timeline"), ("org_try", "/org/f/greet/try"), ("org_upgrade", "/org/f/greet/upgrade"),
            ("org_conflicts", "/org/conflicts"), ("org_people", "/org/people"), ("org_people", "/org/people?kind=users"),
            ("org_person", "/org/people/{subject}"), ("org_person", "/org/people/{subject}?feature=greet"),
            ("runs", "/runs?user={subject}"),
            ("org_usage", "/org/usage"), ("org_usage", "/org/usage?by=layer"), ("org_budgets", "/org/budgets"),
            ("org_budgets", "/org/budgets?edit={budget}"), ("org_provider_keys", "/org/provider-keys"),
            ("org_webhooks", "/org/webhooks"), ("org_webhook", "/org/webhooks/{webhook}"),
            ("org_webhook", "/org/webhooks/{webhook}?confirm=renew"), ("org_settings", "/org/settings"),
            ("org_audit", "/org/audit?verify=1"), ("org_data", "/org/data"), ("org_keys", "/org/keys"), ("org_keys", "/org/keys?limits={service}"),
            ("batches", "/batches?whose=all&feature=greet"), ("org_members", "/org/members"), ("org_access", "/org/access"),
        ]  # fmt: skip
        operator = [
            ("vendor_features", "/vendor/features"), ("vendor_new", "/vendor/features/new"),
            ("vendor_edit", "/vendor/f/greet/edit?from=2"), ("vendor_edit", "/vendor/f/greet/edit?from=2&as=form"),
            ("vendor_new", "/vendor/features/new?as=form"), ("vendor_versions", "/vendor/f/greet/versions"),
            ("vendor_availability", "/vendor/f/greet/availability"),
            ("vendor_impacts", "/vendor/f/greet/impacts"), ("vendor_impact", "/vendor/impacts/{impact}"),
            ("vendor_versions", "/vendor/f/greet/versions?a=1&b=2"), ("vendor_versions", "/vendor/f/greet/versions?show=2"), ("vendor_tenants", "/vendor/tenants"),
            ("vendor_tenant", "/vendor/tenants/acme"), ("vendor_look", "/vendor/tenants/acme/look"),
            ("vendor_look_run", "/vendor/tenants/acme/look/runs/{run}"),
            ("vendor_look_run", "/vendor/tenants/acme/look/runs/{failed}"),
            ("vendor_look_behavior", "/vendor/tenants/acme/look/f/greet?user={subject}"), ("vendor_audit", "/vendor/audit?verify=1"),
            ("vendor_usage", "/vendor/usage"), ("vendor_usage", "/vendor/usage?by=day"),
            ("my_keys", "/me/keys"), ("vendor_models", "/vendor/models"), ("approvals", "/vendor/approvals"), ("vendor_system", "/vendor/system"), ("rollouts", "/vendor/rollouts"),
            ("rollout_new", "/vendor/rollouts/new"), ("rollout_new", "/vendor/rollouts/new?feature=greet&to=2"), ("rollout", "/vendor/rollouts/{rollout}"),
            ("rollout", "/vendor/rollouts/{rollout}?tab=changes"), ("rollout", "/vendor/rollouts/{rollout}?tab=log"),
        ]  # fmt: skip
        people = {"alice": member, "ada": owner, "operator": operator}
        return {who: [(name, path.format(**self.ids)) for name, path in found] for who, found in people.items()}

    def rehearsals(self) -> dict[str, list[str]]:
        """The paths that carry an act out and roll it back, to say what would come of it; by who looks at them."""
        person, stay, back = (
            "/org/people/{subject}?",
            "greet/timeline?confirm=pin&version=1",
            "greet/timeline?confirm=restore",
        )
        found = {
            "alice": [f"/f/{stay}", f"/f/{back}&run={{run}}", f"/f/{back}&at={{then}}"],
            "ada": [
                f"/org/f/{stay}", f"/org/f/{back}&at={{then}}", f"{person}feature=greet&confirm=end",
                f"{person}feature=greet&confirm=hand", f"{person}feature=greet&confirm=hand&keep=no",
                f"{person}confirm=leave", f"{person}confirm=leave&to={{colleague}}&replace=yes",
            ],
            "operator": [
                "/vendor/f/greet/versions?confirm=withdraw&version=2&replacement=1&reason=Wrong",  # ends a rollout
                "/vendor/f/greet/versions?confirm=current&version=2",
                "/vendor/models?confirm=point&alias=larger&revision=2",
                "/vendor/models?confirm=end&alias=larger&revision=3",
                "/vendor/models?confirm=keep&alias=larger&revision=1",
                "/vendor/rollouts/{rollout}?confirm=resume", "/vendor/rollouts/{rollout}?confirm=rollback",
            ],
        }  # fmt: skip
        return {who: [path.format(**self.ids) for path in paths] for who, paths in found.items()}

    def paths(self) -> dict[str, list[str]]:
        """The paths of every page and rehearsal, by who looks at them."""
        rehearsals = self.rehearsals()
        return {who: [path for _, path in pages] + rehearsals.get(who, []) for who, pages in self.pages().items()}


def live_in(cast: Cast, *, work: Callable[[], None]) -> LivedIn:
    """Let everybody of the cast do what people do. `work` carries out the runs that wait."""
    tell(cast, customers=3)
    for n in range(1, 6):
        create_feature(key=f"greet{n}", title=f"Greet {n}", behavior=GREET, rules=GREET_RULES, by=cast.operator)
    runs = [_run(cast, who, name) for who, name in ((cast.alice, "Ann"), (cast.alice, "Eve"), (cast.bob, "Ann"))]
    failed = _run(cast, cast.alice, "Nobody")
    batch = _batch(cast, "Ann", "Nobody", "", "Eve")
    work()
    waiting = _batch(cast, "Ann", "Eve")
    _rated(runs[0], {"verdict": "good"}, cast.alice)
    _rated(runs[1], {"verdict": "bad", "note": "Too stiff"}, cast.alice)
    budget = add_budget(period="month", soft=40_000_000, hard=50_000_000, by=cast.ada)
    add_budget(period="day", soft=None, hard=2_000_000, feature=cast.greet, each_user=True, by=cast.ada)
    add_provider_key(provider="demo", name="Acme's own", key=Secret("sk-of-acme-0123456789"), by=cast.ada)
    hook, _secret = add_webhook(
        url="https://hooks.example/in", events=["run.failed"], description="Our inbox", by=cast.ada
    )
    send_test(hook, by=cast.ada)
    set_policy(users_may_pin=90, by=cast.ada)
    grant_support(hours=24, reason="Our greetings sound wrong since Monday", by=cast.ada)
    impact = ask(cast.greet, to=2, by=cast.operator)
    while work_through():
        pass
    rollout = begin(cast)
    pause(rollout, why="Lunch", by=cast.operator)
    for model in ("older", "old", "new"):
        add_target(alias="larger", provider="demo", model=model, input_price=1, output_price=2, by=cast.operator)
    end_target("larger", 1, at=None, by=cast.operator)
    measure(rollout, "pins_away", [0.0005 * n for n in range(1, 40)], sample=531)
    ids: dict[str, Any] = {
        "run": runs[0], "second": runs[1], "failed": failed, "subject": cast.alice.acting_for().key, "budget": budget.id,
        "colleague": cast.bob.acting_for().key, "then": _then(runs[0], cast.alice),
        "webhook": hook.id, "rollout": rollout.id, "impact": impact.id,
        "batch": batch, "waiting": waiting, "service": cast.acme_service.label.removeprefix("key:"),
    }  # fmt: skip
    return LivedIn({name: str(value) for name, value in ids.items()})


def _then(run_id: Any, who: Actor) -> str:
    """The moment of a run, as an address names it."""
    run = find_run(run_id, who)
    assert run is not None
    return run.created_at.isoformat()


def _run(cast: Cast, who: Actor, name: str) -> Any:
    return accept(cast.greet, {"name": name}, asked=Asked(fresh=True), by=who).run_id


def _batch(cast: Cast, *names: str) -> Any:
    lines = "\n".join(json.dumps({"input": {"name": name} if name else {}, "key": f"row {name}"}) for name in names)
    return take_batch(
        find_feature("greet", cast.alice), Body(BytesIO(lines.encode()), 10_000), "lines", by=cast.alice
    ).id


def _rated(run_id: Any, said: dict[str, Any], who: Actor) -> None:
    run = find_run(run_id, who)
    assert run is not None
    rate(run, said, by=who)
