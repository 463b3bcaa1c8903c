"""Whose a thing is: the vendor's, the organisation's, the person's."""

from typing import Literal

Layer = Literal["base", "tenant", "user"]
