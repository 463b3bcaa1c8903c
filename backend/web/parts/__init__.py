"""What the templates are given: frozen values that views make out of domain objects. No template reaches further."""

from .editor import Choice, EditBox, Editor, NewSection, Paragraph, Promoting, RevisionLine, Row, RowGroup
from .house import AliasLine, TargetLine, TenantLine, TenantsPage
from .keys import KeyLine, ScopeBox
from .lanes import Bar, Lane, Picture, Segment, Tick
from .layer import Layer
from .membership import InvitationLine, MemberLine
from .notices import NoticeLine
from .outbound import DeliveryLine, ProviderKeyLine, WebhookLine
from .people import Asked, Looked, OwnLine, PersonLine, StayBadge
from .rollouts import (
    ClassLine,
    GuardBox,
    GuardCard,
    ImpactSubject,
    ImpactTenant,
    ImpactView,
    Live,
    LogLine,
    PlaceLine,
    Places,
    PointRow,
    RolloutForm,
    RolloutHead,
    StepBox,
    StepLine,
)
from .runs import Failure, OriginRow, ReceiptLine, RunLine, RunView
from .shell import Card, Head, MenuFeature, MenuTenant, Shell
from .timeline import Confirmation, Difference, Event, Moment, Stay
from .upgrade import Decision, Kept, Side, Trial, Tried, Upgrade, Verdict
from .usage import BudgetLine, Figure, UsagePage, UsedLine
from .vendor import Comparison, OpenRollout, Stopped, VendorFeature, VendorVersion, VersionAct
from .writing import Written, Wrong

__all__ = [
    "AliasLine",
    "Asked",
    "Bar",
    "BudgetLine",
    "Card",
    "Choice",
    "ClassLine",
    "Comparison",
    "Confirmation",
    "Decision",
    "DeliveryLine",
    "Difference",
    "EditBox",
    "Editor",
    "Event",
    "Failure",
    "Figure",
    "GuardBox",
    "GuardCard",
    "Head",
    "ImpactSubject",
    "ImpactTenant",
    "ImpactView",
    "InvitationLine",
    "Kept",
    "KeyLine",
    "Lane",
    "Layer",
    "Live",
    "LogLine",
    "Looked",
    "MemberLine",
    "MenuFeature",
    "MenuTenant",
    "Moment",
    "NewSection",
    "NoticeLine",
    "OpenRollout",
    "OriginRow",
    "OwnLine",
    "Paragraph",
    "PersonLine",
    "Picture",
    "PlaceLine",
    "Places",
    "PointRow",
    "Promoting",
    "ProviderKeyLine",
    "ReceiptLine",
    "RevisionLine",
    "RolloutForm",
    "RolloutHead",
    "Row",
    "RowGroup",
    "RunLine",
    "RunView",
    "ScopeBox",
    "Segment",
    "Shell",
    "Side",
    "Stay",
    "StayBadge",
    "StepBox",
    "StepLine",
    "Stopped",
    "TargetLine",
    "TenantLine",
    "TenantsPage",
    "Tick",
    "Trial",
    "Tried",
    "Upgrade",
    "UsagePage",
    "UsedLine",
    "VendorFeature",
    "VendorVersion",
    "Verdict",
    "VersionAct",
    "WebhookLine",
    "Written",
    "Wrong",
]
