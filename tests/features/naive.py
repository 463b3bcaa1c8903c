"""What everybody should be served, said as simply as can be: behavior.md 4 to 7 again, by other means than the engine's.

Of a behavior it knows two fields, the role (a text, whose conflicts hold) and the tone (a value, which is kept).
"""

import hashlib
from dataclasses import dataclass, field
from typing import Any

Op = tuple[str, str, int, int]  # value, the inherited value that its author saw, on which version and tenant revision
Content = dict[str, Op]  # by field
MOST_POINTERS = 50


@dataclass(frozen=True)
class Stage:
    to: int
    unit: str
    share: int
    tenants: frozenset[str]


@dataclass
class Naive:
    """Tenants and their people by name; `names` are what buckets are made of: tenants' ids and people's keys."""

    tenant_of: dict[str, str]  # of a person; a tenant is its own
    names: dict[str, str]
    versions: list[dict[str, Any]]  # role, tone, locked (the tone)
    pointers: list[int] = field(default_factory=lambda: [1])
    stages: list[Stage] = field(default_factory=list)
    stage: Stage | None = None
    withdrawn: dict[int, int] = field(default_factory=dict)
    ever_withdrawn: list[tuple[int, int]] = field(default_factory=list)
    revisions: dict[str, list[Content]] = field(default_factory=dict)
    pins: dict[str, tuple[int, Any, Any]] = field(default_factory=dict)  # base, and ... or numbers for a snapshot
    may_pin: dict[str, bool] = field(default_factory=dict)
    may_override: dict[str, bool] = field(default_factory=dict)

    def version(self, number: int) -> dict[str, Any]:
        return self.versions[number - 1]

    def content(self, who: str, number: int) -> Content:
        return self.revisions[who][number - 1] if number else {}

    def newest(self, who: str) -> int:
        return len(self.revisions.get(who, []))

    def inside(self, who: str, stage: Stage) -> bool:
        tenant = self.tenant_of[who]
        if tenant in stage.tenants:
            return True
        if stage.unit == "user" and who == tenant:
            return False
        name = self.names[who if stage.unit == "user" else tenant]
        hashed = hashlib.sha256(f"greet\0{stage.to}\0{name}".encode()).digest()
        return int.from_bytes(hashed[:8], "big") % 10_000 < stage.share

    def released(self, who: str) -> set[int]:
        found = set(self.pointers) | {stage.to for stage in self.stages if self.inside(who, stage)}
        for _ in self.ever_withdrawn:
            found |= {m for n, m in self.ever_withdrawn if n in found}
        return found

    def pin(self, who: str) -> tuple[int, Any, Any] | None:
        """The pin that counts for somebody: their own while the policy allows it, else the organisation's."""
        tenant = self.tenant_of[who]
        own = self.pins.get(who) if who == tenant or self.may_pin[tenant] else None
        return own or self.pins.get(tenant)

    def chosen(self, who: str) -> tuple[int, int, int]:
        """Base, tenant revision and user revision that somebody is served; 0 for none."""
        tenant = self.tenant_of[who]
        ours, mine = self.newest(tenant), 0 if who == tenant else self.newest(who)
        theirs, pin = self.pins.get(tenant), self.pin(who)
        if theirs and theirs[1] is not ...:
            ours = theirs[1]
        if who != tenant and pin is not None and pin is self.pins.get(who) and pin[1] is not ...:
            ours, mine = pin[1], pin[2]
        base = pin[0] if pin else self.follows(who, ours, mine)
        while base in self.withdrawn:
            base = self.withdrawn[base]
        return base, ours, mine

    def in_force(self, who: str) -> tuple[int, int, int]:
        """As `chosen`, without a user revision that the policy keeps inactive."""
        base, ours, mine = self.chosen(who)
        return base, ours, mine if self.may_override[self.tenant_of[who]] else 0

    def follows(self, who: str, ours: int, mine: int) -> int:
        """The version that somebody without a pin is on, staying behind while a conflict waits for a decision."""
        tenant = self.tenant_of[who]
        layers = [self.content(tenant, ours)]
        if who != tenant and self.may_override[tenant]:
            layers.append(self.content(who, mine))
        wanted = self.stage.to if self.stage and self.inside(who, self.stage) else self.pointers[-1]
        saved_on = self.conflict(layers, wanted)
        if not saved_on:
            return wanted
        for number in reversed(self.pointers[-MOST_POINTERS:]):
            if number != wanted and number not in self.withdrawn and not self.conflict(layers, number):
                return number
        return saved_on

    def conflict(self, layers: list[Content], base: int) -> int:
        """The version on which the role was saved that conflicts with a base; 0 when none does."""
        for place, content in enumerate(layers):
            if "role" in content:
                value, seen, saved_on, _ = content["role"]
                below = layers[0] if place else {}
                now, then = self.inherited(base, below, "role"), self.inherited(saved_on, below, "role")
                if now not in (seen, then, value):
                    return saved_on
        return 0

    def inherited(self, base: int, below: Content, name: str) -> str:
        version = self.version(base)
        if name in below and not (name == "tone" and version["locked"]):
            return below[name][0]
        value: str = version[name]
        return value

    def served(self, who: str) -> tuple[str, str]:
        """The role and the tone that somebody should have."""
        base, ours, mine = self.chosen(who)
        tenant = self.tenant_of[who]
        below = self.content(tenant, ours)
        own = self.content(who, mine) if who != tenant and self.may_override[tenant] else {}
        found = {name: self.inherited(base, below, name) for name in ("role", "tone")}
        for name in own:
            if not (name == "tone" and self.version(base)["locked"]):
                found[name] = own[name][0]
        return found["role"], found["tone"]

    def save(self, who: str, content: Content) -> None:
        """Keep a revision if it says anything new, and under one's own snapshot move the pin to it."""
        pin = self.pin(who)
        snapshot = pin is not None and pin is self.pins.get(who) and pin[1] is not ...
        if self.newest(who) and content == self.content(who, self.newest(who)) and not snapshot:
            return
        self.revisions.setdefault(who, []).append(content)
        if snapshot and pin is not None:
            own = who == self.tenant_of[who]
            self.pins[who] = (pin[0], self.newest(who), 0) if own else (pin[0], pin[1], self.newest(who))

    def under(self, who: str) -> Content:
        """The revision that a save starts from: the one that one's own snapshot serves, else the newest."""
        _, ours, mine = self.chosen(who)
        pin = self.pin(who)
        if pin is None or pin is not self.pins.get(who) or pin[1] is ...:
            return self.content(who, self.newest(who))
        return self.content(who, ours if who == self.tenant_of[who] else mine)
