"""The inbox: one line for each thing to know or to decide."""

from dataclasses import dataclass
from datetime import datetime

from .layer import Layer


@dataclass(frozen=True, slots=True)
class NoticeLine:
    id: str
    kind: str
    icon: str
    feature: str
    layer: Layer
    at: datetime
    title: str
    text: str
    href: str
    read: bool
    decide: bool
