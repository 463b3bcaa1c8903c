"""What the templates are given: frozen values that views make out of domain objects. No template reaches further."""

from .editor import Choice, EditBox, Editor, NewSection, Paragraph, RevisionLine, Row, RowGroup
from .layer import Layer
from .runs import Failure, OriginRow, ReceiptLine, RunLine, RunView
from .shell import Card, Head, MenuFeature, MenuTenant, Shell, VendorFeature, VendorVersion
from .timeline import Confirmation, Difference, Event, Moment, Stay

__all__ = [
    "Card",
    "Choice",
    "Confirmation",
    "Difference",
    "EditBox",
    "Editor",
    "Event",
    "Failure",
    "Head",
    "Layer",
    "MenuFeature",
    "MenuTenant",
    "Moment",
    "NewSection",
    "OriginRow",
    "Paragraph",
    "ReceiptLine",
    "RevisionLine",
    "Row",
    "RowGroup",
    "RunLine",
    "RunView",
    "Shell",
    "Stay",
    "VendorFeature",
    "VendorVersion",
]
