"""What a process keeps of what it has read and compiled: bounded, and keyed by what cannot change."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from threading import Lock
from typing import Generic, TypeVar
from uuid import UUID

from features.engine import Compiled, Json, dumps
from tenants.subjects import Who

from .reading import Stamps
from .served import Served

Key = TypeVar("Key")
Value = TypeVar("Value")


class Choices:
    """What was served to whom, kept per process while the stamps stand and nothing that it read has ended.

    Subjects who never wrote anything of their own (their stamp is 0) share what is kept for their tenant.
    """

    def __init__(self, size: int) -> None:
        self._size, self._kept, self._lock = size, dict[tuple[UUID, UUID, UUID | None], Served](), Lock()

    def get(self, feature: UUID, tenant: UUID, who: Who, stamps: Stamps, now: datetime) -> Served | None:
        served = self._kept.get((feature, tenant, who.id))
        if served is None and not stamps[-1] and not who.is_tenant:
            served = self._kept.get((feature, tenant, None))
        if served is None or served.stamps != stamps:
            return None
        ends = served.choice.fresh_until
        return served if ends is None or now < ends else None

    def last(self, feature: UUID, tenant: UUID, who: Who) -> Served | None:
        served = self._kept.get((feature, tenant, who.id)) or self._kept.get((feature, tenant, None))
        return None if served is None else replace(served, who=who)

    def put(self, feature: UUID, tenant: UUID, served: Served, by_subject: bool) -> None:
        shared = not served.stamps[-1] and not served.who.is_tenant and not by_subject
        key = (feature, tenant, None if shared else served.who.id)
        with self._lock:
            self._kept.pop(key, None)
            self._kept[key] = served
            if len(self._kept) > self._size:
                self._kept.pop(next(iter(self._kept)))

    def clear(self) -> None:
        with self._lock:
            self._kept.clear()


class Lately(Generic[Key, Value]):
    """What never changes, by what it is called: as many as there is room for, the most lately read ones."""

    def __init__(self, size: int) -> None:
        self._size, self._kept, self._lock = size, dict[Key, Value](), Lock()

    def get(self, key: Key) -> Value | None:
        return self._kept.get(key)

    def put(self, key: Key, value: Value) -> None:
        with self._lock:
            self._kept.pop(key, None)
            self._kept[key] = value
            if len(self._kept) > self._size:
                self._kept.pop(next(iter(self._kept)))

    def clear(self) -> None:
        with self._lock:
            self._kept.clear()


class Behaviors:
    """Compiled behaviors by digest, the most lately used ones up to so many characters of their own text."""

    def __init__(self, characters: int) -> None:
        self._room, self._lock = characters, Lock()
        self._kept = dict[str, tuple[str, Compiled]]()

    def get(self, digest: str, fields: Mapping[str, Json]) -> Compiled | None:
        with self._lock:
            kept = self._kept.pop(digest, None)
            if kept is None:
                return None
            self._kept[digest] = kept
        return kept[1] if kept[0] == dumps(dict(fields)) else None

    def put(self, digest: str, fields: Mapping[str, Json], compiled: Compiled) -> None:
        text = dumps(dict(fields))
        with self._lock:
            self._room -= len(text) - len(self._kept.pop(digest, ("",))[0])
            self._kept[digest] = (text, compiled)
            while self._room < 0 and len(self._kept) > 1:
                self._room += len(self._kept.pop(next(iter(self._kept)))[0])

    def clear(self) -> None:
        with self._lock:
            self._room += sum(len(text) for text, _ in self._kept.values())
            self._kept.clear()
