"""A worker within the test's process: its runs come one after the other, as answers are scripted."""

from features.runs.slots import Slots
from features.runs.trips import app_trips, operator_trips

_slots = Slots(1)


def look(slots: Slots = _slots) -> int:
    """Carry runs out until none waits and all have ended. Returns how many, whatever came of each."""
    taken = 0
    with app_trips.kept(), operator_trips.kept():
        while found := slots.take():
            taken += found
            slots.wait_for_all()
    return taken
