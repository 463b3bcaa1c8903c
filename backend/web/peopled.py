"""People as pages show them: what of each feature is theirs, what they stay on, exactly what they are served."""

from collections.abc import Sequence
from datetime import datetime

from django.utils.translation import gettext as _

from features.contents import titles_of
from features.explain import hidden_fields
from features.people import Own, Person
from features.resolve import serve
from features.served import Served
from tenants.actor import Actor

from .parts import Asked, Looked, OriginRow, OwnLine, PersonLine, StayBadge
from .rendering import field_summary
from .slots import as_field, shortened
from .templatetags.b import clock
from .words import field_title, layer_of, plain, readable, role_word

SHOWN = 600  # characters of a field that somebody is served


def line_of_person(person: Person, actor: Actor) -> PersonLine:
    """Somebody with a line for each feature of which they keep something."""
    with actor.present():
        own = [_line(one) for one in person.own]
    return PersonLine(
        key=person.who.key,
        name=person.name,
        email=person.email if person.email != person.name else "",
        role=role_word(person.role) if person.role else "",
        left=person.left,
        own=own,
    )


def looked_at(own: Own, actor: Actor, at: datetime | None = None) -> Looked:
    """Exactly what they are served, or were at a moment, field by field with whose it is, as far as an admin may see.

    Raises NotFound where nothing was served then.
    """
    with actor.present():
        if at is not None:
            then = serve(own.feature, actor.tenant_id, own.served.who, at)
            return in_full(then, today=own.served, notes=[_("As it was on %(at)s.") % {"at": clock(at)}])
        return in_full(own.served, notes=_stay_notes(own))


def in_full(served: Served, *, today: Served | None = None, notes: Sequence[str] = ()) -> Looked:
    """What is served, field by field, as far as the organisation's admins see it; within its transaction.

    `today` is what is served now, where the other is of the past: what is hidden now is not shown of then.
    """
    hidden = hidden_fields(served, "tenant", today=today or served)
    titles = titles_of(served.feature, served.choice.base)
    rows = []
    for field, value in served.effective.fields.items():
        if field in hidden:
            continue
        origin = served.effective.origins[field]
        text = field_summary(field, value) if isinstance(value, dict | list) else plain(readable(field, value))
        read = shortened(as_field(field, text or _("Nothing"), titles, served.effective.fields["input"]), SHOWN)
        rows.append(OriginRow(field_title(field, titles), layer_of(origin), origin.number, read))
    asleep = [field_title(item.operation.field, titles) for item in served.effective.suspended if item.layer == "user"]
    return Looked(
        key=served.feature.key,
        title=served.feature.title,
        version=served.choice.base,
        tenant=served.receipt.tenant,
        user=served.receipt.user,
        digest=served.digest,
        rows=sorted(rows, key=lambda row: ("user", "tenant", "base").index(row.layer)),
        hidden=len(hidden & served.effective.fields.keys()),
        notes=[*notes, *(_("%(field)s is not in force.") % {"field": field} for field in asleep)],
    )


def asked_of(act: str, person: Person, own: Own | None) -> Asked | None:
    """An act on one feature of theirs, before it is done."""
    if own is None:
        return None
    words = {"name": person.name, "feature": own.feature.title, "n": own.served.choice.base}
    fields = [("feature", own.feature.key)]
    if act == "end" and own.pin is not None:
        told = _(
            "They follow the vendor again, from their next run on. Their own changes stay. Nobody else is affected."
        )
        return Asked("end", _("End the stay of %(name)s on version %(n)d of %(feature)s?") % words, told,
                     _("End the stay"), fields)  # fmt: skip
    if act == "inherit" and own.override is not None:
        told = _("They inherit everything from the organisation and the vendor again. They can go back to it "
                 "under Make it mine, Undo a save. Nobody else is affected.")  # fmt: skip
        return Asked("inherit", _("Remove what %(name)s has changed in %(feature)s?") % words, told,
                     _("Remove the changes"), fields)  # fmt: skip
    return None


def _line(own: Own) -> OwnLine:
    titles = titles_of(own.feature, own.served.choice.base) if own.override else {}
    fields = [row["field"] for row in own.override.operations] if own.override else []
    return OwnLine(
        key=own.feature.key,
        title=own.feature.title,
        version=own.served.choice.base,
        changed=len(fields),
        fields=[field_title(field, titles) for field in fields],
        stay=_stay(own),
        pinned=own.pin is not None,
        reason=own.pin.reason if own.pin else "",
        shared=len(own.served.tenant.operations) if own.served.tenant else 0,
    )


def _stay_notes(own: Own) -> list[str]:
    """Why it is not the newest version that they are served, in a sentence."""
    stay, version = _stay(own), {"n": own.served.choice.base}
    if stay is None:
        return []
    told = {
        "held": _("Held on version %(n)d: what they changed conflicts with a newer one, and only they can decide."),
        "chosen": _("They chose to stay on version %(n)d."),
        "suspended": _("They chose to stay, which the policy does not allow now: they are on version %(n)d."),
    }  # fmt: skip
    return [told[stay.kind] % version]


def _stay(own: Own) -> StayBadge | None:
    """Their own stay or hold; what the organisation decides for all is not theirs."""
    choice, pin = own.served.choice, own.pin
    words = {"feature": own.feature.title, "n": choice.base}
    if pin is not None:
        counts = choice.pin is not None and choice.pin.id == str(pin.id)
        if not counts:
            return StayBadge("suspended", _("%(feature)s, stay out of force") % words)
        kept = _("%(feature)s v%(n)d, as it was") if pin.kind == "snapshot" else _("%(feature)s v%(n)d")
        return StayBadge("chosen", kept % words, choice.pin.until if choice.pin else None)
    if choice.held is not None and choice.held.by == "user":
        return StayBadge("held", _("%(feature)s v%(n)d, held") % words)
    return None
