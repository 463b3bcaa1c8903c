"""What was done, in words: a phrase for each verb that an audit can hold (tenants/roles.py has the verbs).

The verb itself stays in the address, in the API and where one looks closer.
"""

from collections.abc import Mapping

from django.utils.translation import gettext_lazy as _

from .words import sentence

DONE: Mapping[str, object] = {
    "approval.decide": _("Decided what took two operators"),
    "budget.manage": _("Changed a budget"),
    "current.move": _("Made a version the current one"),
    "data.export": _("Exported data"),
    "feature.create": _("Created a feature"),
    "feature.manage": _("Changed who has a feature"),
    "impact.read": _("Worked out an impact"),
    "invitation.accept": _("Accepted an invitation"),
    "key.manage": _("Changed a service key"),
    "key.own": _("Changed a key of their own"),
    "member.leave": _("Left"),
    "member.manage": _("Changed who belongs here"),
    "model.manage": _("Changed a model or its prices"),
    "operator.manage": _("Changed who is an operator"),
    "operator_key.own": _("Changed an operator's own key"),
    "override.others": _("Changed behavior for somebody else"),
    "override.tenant": _("Changed the organisation's behavior"),
    "override.user": _("Changed their own behavior"),
    "owner.manage": _("Changed an owner"),
    "pin.others": _("Changed on which version somebody else stays"),
    "pin.tenant": _("Changed on which version the organisation stays"),
    "pin.user": _("Changed on which version they stay"),
    "policy.manage": _("Changed the policy"),
    "provider_key.manage": _("Changed a provider key"),
    "rollout.manage": _("Moved a rollout"),
    "run.cancel": _("Cancelled"),
    "run.create": _("Started a batch"),
    "run.rate": _("Rated a run"),
    "subject.erase": _("Erased a person's data"),
    "subject.manage": _("Changed an end user"),
    "support.enter": _("Looked in for support"),
    "support.grant": _("Changed whether support may look"),
    "support.read": _("Looked at this for support"),
    "tenant.create": _("Created an organisation"),
    "tenant.erase": _("Erased an organisation"),
    "tenant.limits": _("Changed an organisation's limits"),
    "tenant.state": _("Suspended, closed or reopened an organisation"),
    "version.preview": _("Tried a version"),
    "version.publish": _("Published a version"),
    "version.withdraw": _("Withdrew a version, or lifted that"),
    "webhook.manage": _("Changed a webhook"),
}
WHAT: Mapping[str, object] = {
    "advance": _("to the next step"),
    "asked": _("asked for"),
    "done": _("done"),
    "hand out": _("handed out to others"),
    "leave to": _("left to somebody else"),
    "made": _("made"),
    "pause": _("paused"),
    "pin": _("stays"),
    "promote": _("made the organisation's"),
    "resolve": _("conflicts decided"),
    "restore": _("put back as it was"),
    "resume": _("resumed"),
    "roll_back": _("rolled back"),
    "start": _("started"),
    "taken": _("taken away"),
    "unpin": _("follows the vendor again"),
}
"""What exactly was done, where a verb stands for several acts (`what` of an event's detail)."""
# What is only looked at leaves no event.
SILENT = frozenset(
    {"audit.read", "audit.vendor", "behavior.others", "feature.read", "member.read", "rollout.read", "run.others"}
    | {"run.read", "subject.read", "tenant.list", "tenant.read", "usage.read", "usage.vendor", "version.read"}
)


def verb_words(verb: str) -> str:
    """A verb as people say it; one that nobody wrote a phrase for, by its own name."""
    return str(DONE.get(verb, "")) or sentence(verb.replace(".", " "))
