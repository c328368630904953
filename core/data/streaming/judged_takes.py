"""Chooses the judged takes of a stream by their order of arrival, so that the choice is the same every time.

If the machines are known beforehand, each machine and label has a quota from the budget, and the choice is complete
when all quotas are full. Otherwise, and if a quota stays unfilled, takes are chosen from the whole set at its end.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence

from core.data.clips import ClipSet, check_budget, spread_over_strata
from core.data.data_config import DataConfig, with_faults_if_needed
from core.data.judged_clips import JUDGED, check_calibration, judged_clips
from core.data.recordings import Take
from core.errors import UserError

Stratum = tuple[str, str, str]
"""Split, machine and label."""


class JudgedTakes:
    """Collects takes until the judged ones are complete."""

    def __init__(self, config: DataConfig, machines: Sequence[str] | None) -> None:
        self._config = config
        self._takes: dict[Stratum, list[Take]] = defaultdict(list)
        self._quotas = _quotas(config, machines) if machines else None

    @property
    def config(self) -> DataConfig:
        """The data's, with faults to inject where no take is anomalous. That is known when no further takes come."""
        recordings = [take.recording for takes in self._takes.values() for take in takes]
        return with_faults_if_needed(recordings, self._config)

    def offer(self, part: str, take: Take) -> None:
        """Keeps a take if it may be needed: a bounded number for each machine, label and split."""
        of_its_kind = self._takes[part, take.recording.machine, take.recording.label]
        if len(of_its_kind) < self._config.clips.max_clips(part):
            of_its_kind.append(take)

    @property
    def is_complete(self) -> bool:
        """Whether further takes cannot change the choice."""
        return self._quotas is not None and not self.missing

    @property
    def missing(self) -> list[str]:
        """What `clips` still needs, in words: "the end of the stream" if the machines are not known beforehand."""
        if self._quotas is None:
            return ["the end of the stream"]
        return [
            f"{label} takes of {machine} for {split}"
            for (split, machine, label), quota in self._quotas.items()
            if len(self._takes[split, machine, label]) < quota
        ]

    def clips(self) -> Mapping[str, ClipSet]:
        """The clip sets of JUDGED. Raises UserError if the takes are too few for a study."""
        chosen = {name: self._chosen(name) for name in JUDGED}
        strata = {(name, *_stratum(take)) for name, takes in chosen.items() for take in takes}
        check_strata(strata, needs_anomalous=self.config.faults is None)
        judged = {name: judged_clips(takes, name, self.config) for name, takes in chosen.items()}
        check_calibration(judged["calibration"].machines)
        return judged

    def _chosen(self, name: str) -> list[Take]:
        strata = {key: takes for key, takes in sorted(self._takes.items()) if key[0] == name and takes}
        if self._quotas is not None and self.is_complete:
            return [take for key, takes in strata.items() for take in takes[: self._quotas.get(key, 0)]]
        everything = [take for takes in strata.values() for take in takes]
        return spread_over_strata(everything, self.config.max_takes(name), name)


def _quotas(config: DataConfig, machines: Sequence[str]) -> dict[Stratum, int]:
    quotas: dict[Stratum, int] = {}
    for name in JUDGED:
        labels = ("normal",) if name == "calibration" or config.faults else ("anomalous", "normal")
        strata = [(name, machine, label) for machine in sorted(machines) for label in labels]
        max_takes = config.max_takes(name)
        check_budget(max_takes, len(strata), name)
        share, rest = divmod(max_takes, len(strata))
        quotas |= {stratum: share + (place < rest) for place, stratum in enumerate(strata)}
    return quotas


def _stratum(take: Take) -> tuple[str, str]:
    return take.recording.machine, take.recording.label


def check_strata(strata: Collection[Stratum], *, needs_anomalous: bool = True) -> None:
    """Raises UserError if a part lacks a label that it needs, or a judged machine has no takes to calibrate on."""
    for part in ("validation", "test"):
        for label in ("normal", "anomalous") if needs_anomalous else ("normal",):
            if not any(stratum[0] == part and stratum[2] == label for stratum in strata):
                raise UserError(
                    f"The stream must bring {label} takes for {part}, but brought none. "
                    "Choose another split.seed, larger fractions, or more data."
                )
    calibrated = {machine for part, machine, _ in strata if part == "calibration"}
    for part, machine, _ in sorted(strata):
        if part in ("validation", "test") and machine not in calibrated:
            raise UserError(
                f"Machine {machine!r} must have normal takes to calibrate on, but the stream brought none. "
                "Leave that machine out, or raise split.calibration_fraction."
            )


def no_training_takes() -> UserError:
    return UserError("The stream must bring normal takes to train on, but brought none. Choose another split.seed.")


def say_if_injected(config: DataConfig, judging: JudgedTakes, say: Callable[[str], None]) -> None:
    """Says at the end of a stream that it had no anomalous take, unless `config` knew so before."""
    if config.faults is None and judging.config.faults is not None:
        say(judging.config.faults.describe())
