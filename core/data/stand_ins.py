"""What stands in for recordings that a study does not have, and what its figures cannot show for that reason."""

from typing import Literal

StandIn = Literal["faults", "parts"]
"""Injected faults in place of anomalous takes; parts of takes in place of takes."""

SENTENCES: dict[StandIn, str] = {
    "faults": (
        "Unproven: no real fault was heard. All faults of validation and test are injected into healthy takes, so the "
        "figures say how well those are found, and not how well a fault of the real machine is."
    ),
    "parts": (
        "Parts of the same recordings stand in for takes, because there are too few recordings. So nothing here shows "
        "how recordings differ (another day, another speed, another place of the microphone): expect more false alarms "
        "on a new recording, and intervals that are too narrow."
    ),
}
"""For people. Each is a whole sentence or two."""
