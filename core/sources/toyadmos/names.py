"""ToyADMOS file names, and the meaning of the fault codes of its toy car (Koizumi and others, WASPAA 2019).

    1101010001_ToyCar_case1_ab01_IND_ch1_0001      files that differ only in chN are one take
    digits     machine case condition style channel take

The digits in front are ignored, because some tools remove them.
"""

import re
from dataclasses import dataclass
from itertools import product

from core.data.recordings import Label

# All combinations. The voltage changes fastest, then tyres, gears and shaft. The first combination has no fault.
SHAFTS = ("", "bent shaft")
GEARS = ("", "deformed gears", "melted gears")
TYRES = ("", "plastic ribbon", "steel ribbon")
VOLTAGES = ("", "under voltage", "over voltage")
FAULTS: dict[str, str] = {
    f"ab{number:02d}": ", ".join(part for part in parts if part)
    for number, parts in enumerate(product(SHAFTS, GEARS, TYRES, VOLTAGES))
    if number
}
"""ab01 to ab53 in words."""

_NAME = re.compile(
    r"(?:.*[/_])?(?P<machine>Toy[A-Za-z]+)_case(?P<case>\d{1,9})_(?P<condition>normal|ab\d{2})_(?P<style>IND|CNT)"
    r"_ch(?P<channel>\d{1,9})_(?P<take>\d{1,9})",
    re.ASCII,
)
_NOISE_NAME = re.compile(r"(?P<digits>\d+_)?(?P<before>(?:.*_)?)ch(?P<channel>\d{1,9})(?P<after>(?:_.*)?)", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class ToyAdmosName:
    """One microphone's file of one take."""

    machine: str
    case: int
    condition: str
    """`normal`, or `ab01` to `ab53`."""
    style: str
    """`IND`, one run of the machine, or `CNT`, a stretch of a continuous recording."""
    channel: int
    take: str

    @property
    def take_id(self) -> str:
        """Equal for all microphones of a take, in the tree and on the Hub."""
        return f"{self.machine}_case{self.case}_{self.condition}_{self.style}_{self.take}"

    @property
    def car(self) -> str:
        """The machine: each case is another combination of motor and bearing."""
        return f"{self.machine}-case{self.case}"

    @property
    def label(self) -> Label:
        return "normal" if self.condition == "normal" else "anomalous"

    @property
    def meaning(self) -> str:
        """`normal`, or the code with the fault in words; only the code if its meaning is not published."""
        fault = FAULTS.get(self.condition, "") if self.machine == "ToyCar" else ""
        return f"{self.condition} {fault}".strip()


def parse_name(stem: str) -> ToyAdmosName | None:
    """The parts of a name without its suffix, with or without folders in front; None for other names."""
    match = _NAME.fullmatch(stem)
    if match is None:
        return None
    parts = match.groupdict()
    return ToyAdmosName(
        machine=parts["machine"],
        case=int(parts["case"]),
        condition=parts["condition"],
        style=parts["style"],
        channel=int(parts["channel"]),
        take=parts["take"],
    )


def parse_noise_name(stem: str) -> tuple[str, int] | None:
    """The id of a recording of environmental noise and the microphone; None for a name without `chN`.

    The names of such files vary. The id is the name without the number of `chN`. The digits in front repeat the
    microphone, so they are removed as well, if the rest contains another number that distinguishes recordings.
    """
    match = _NOISE_NAME.fullmatch(stem)
    if match is None:
        return None
    rest = f"{match['before']}ch{match['after']}"
    has_number = any(character.isdigit() for character in rest)
    return (rest if has_number else f"{match['digits'] or ''}{rest}"), int(match["channel"])
