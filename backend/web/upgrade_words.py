"""Why somebody is where they are, in words: headlines and reasons, for a person and for their organisation."""

from django.utils.translation import gettext_lazy as _

HEADLINES = {
    ("held", "user"): _("You are still on version %(old)d"),
    ("held", "tenant"): _("%(tenant)s is still on version %(old)d"),
    ("pinned", "user"): _("You stay on version %(old)d"),
    ("pinned", "tenant"): _("%(tenant)s stays on version %(old)d"),
    ("held_by_tenant", "user"): _("%(tenant)s is still on version %(old)d, and you with it"),
    ("pinned_by_tenant", "user"): _("%(tenant)s stays on version %(old)d, and you with it"),
    ("", "user"): _("Nothing is waiting"),
    ("", "tenant"): _("Nothing is waiting"),
}
"""By state and layer; `open` is counted where it is told."""

REASONS = {
    ("held", "user"): _(
        "Version %(new)d changes %(fields)s, which you changed as well. So it was not given to you without asking. "
        "It waits for as long as you like."
    ),
    ("held", "tenant"): _(
        "Version %(new)d changes %(fields)s, which %(tenant)s changed as well. Everyone here stays until an admin "
        "decides. It waits for as long as it takes."
    ),
    ("held_by_tenant", "user"): _(
        "Version %(new)d changes %(fields)s, which %(tenant)s changed for everyone. The organisation decides."
    ),
    ("pinned", "user"): _("You chose this. Version %(new)d is what the vendor has now."),
    ("pinned", "tenant"): _("The organisation chose this. Version %(new)d is what the vendor has now."),
    ("pinned_by_tenant", "user"): _(
        "The organisation chose this for everyone. You can choose a version for yourself under Timeline."
    ),
    ("open", "user"): _("What you have was kept. Look at both, and say what should be."),
    ("open", "tenant"): _("What we have was kept. Look at both, and say what should be."),
    ("", "user"): _(
        "You follow the vendor, at version %(old)d. When a new version changes something that you have changed, it "
        "waits here for you."
    ),
    ("", "tenant"): _(
        "%(tenant)s follows the vendor, at version %(old)d. When a new version changes something that the organisation "
        "has changed, it waits here."
    ),
}

STAYING = {
    ("user", "user"): _(
        "You stay on version %(old)d because you chose it, and the vendor has no other now. When there is one, what it "
        "would change for you stands here."
    ),
    ("tenant", "user"): _(
        "%(tenant)s stays on version %(old)d for everyone, and the vendor has no other now. When there is one, what it "
        "would change for you stands here."
    ),
    ("tenant", "tenant"): _(
        "%(tenant)s stays on version %(old)d by choice, and the vendor has no other now. When there is one, what it "
        "would change stands here."
    ),
}
"""Nothing waits, and one stays by choice: by whose choice, and to whom it is told."""
WITHDRAWN = _("Version %(old)d stands in for version %(gone)d, which the vendor has withdrawn.")
ENDS = {
    "user": _("Your stay on version %(old)d ends."),
    "tenant": _("%(tenant)s's stay on version %(old)d ends."),
}
SAME = {
    "user": _("The vendor has come to the same. Yours could go."),
    "tenant": _("The vendor has come to the same. Ours could go."),
}
