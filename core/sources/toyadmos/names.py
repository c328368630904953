"""ToyADMOS file names, and what the fault codes of its toy car mean (Koizumi and others, WASPAA 2019).

    1101010001_ToyCar_case1_ab01_IND_ch1_0001      the files that differ in chN alone are one take
    digits     machine case condition style channel take

The digits in front are sometimes cut by tools, so only the readable part counts.
"""

import re
from dataclasses import dataclass
from itertools import product

from core.data.recordings import Label

# Every combination, the voltage changing fastest, then tyres, gears, shaft; the first, all normal, is no fault.
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
        """The same for all microphones of a take, in the tree and on the Hub."""
        return f"{self.machine}_case{self.case}_{self.condition}_{self.style}_{self.take}"

    @property
    def car(self) -> str:
        """The machine that is heard: each case is another combination of motor and bearing."""
        return f"{self.machine}-case{self.case}"

    @property
    def label(self) -> Label:
        return "normal" if self.condition == "normal" else "anomalous"

    @property
    def meaning(self) -> str:
        """`normal`, or code and fault in words; the code alone where nobody published what it means."""
        fault = FAULTS.get(self.condition, "") if self.machine == "ToyCar" else ""
        return f"{self.condition} {fault}".strip()


def parse_name(stem: str) -> ToyAdmosName | None:
    """The parts of a name without its suffix, folders allowed in front; None where it is no ToyADMOS name."""
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
    """What the files of one recording of environmental noise share, and the microphone; None where no `chN` is found.

    How such files are named varies, so everything but `chN` is what they share, less the digits in front, which
    repeat the microphone, where another number is left to tell recordings apart.
    """
    match = _NOISE_NAME.fullmatch(stem)
    if match is None:
        return None
    rest = f"{match['before']}ch{match['after']}"
    has_number = any(character.isdigit() for character in rest)
    return (rest if has_number else f"{match['digits'] or ''}{rest}"), int(match["channel"])
