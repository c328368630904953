"""Which takes of a stream are judged: chosen by the order of arrival, so that the choice is the same every time.

Where it is known which machines will come, so many takes of each machine and label as the budget has clips, and no more
is waited for; else, and where there are not so many, takes dealt from the whole set once it has arrived.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from core.data.clips import ClipSet, check_budget, spread_over_strata
from core.data.dataset import JUDGED, DataConfig, check_calibration, judged_clips
from core.data.recordings import Take
from core.errors import UserError

Stratum = tuple[str, str, str]
"""Split, machine and label."""


class JudgedTakes:
    """Collects takes until what is judged is there."""

    def __init__(self, config: DataConfig, machines: Sequence[str] | None) -> None:
        self._config = config
        self._takes: dict[Stratum, list[Take]] = defaultdict(list)
        self._quotas = _quotas(config, machines) if machines else None

    def offer(self, part: str, take: Take) -> None:
        """Keeps a take as far as it can still be needed: a bounded number of each machine, label and split."""
        of_its_kind = self._takes[part, take.recording.machine, take.recording.label]
        if len(of_its_kind) < self._config.clips.max_clips(part):
            of_its_kind.append(take)

    @property
    def is_complete(self) -> bool:
        """Whether nothing that may still come would change the choice."""
        return self._quotas is not None and not self.missing

    @property
    def missing(self) -> list[str]:
        """What is waited for, in words; "the end of the stream" where it is not known which machines will come."""
        if self._quotas is None:
            return ["the end of the stream"]
        return [
            f"{label} takes of {machine} for {split}"
            for (split, machine, label), quota in self._quotas.items()
            if len(self._takes[split, machine, label]) < quota
        ]

    def clips(self) -> Mapping[str, ClipSet]:
        """The clip sets of JUDGED. UserError where the whole set has arrived and cannot carry a study."""
        chosen = {name: self._chosen(name) for name in JUDGED}
        _check(chosen)
        judged = {name: judged_clips(takes, name, self._config) for name, takes in chosen.items()}
        check_calibration(judged["calibration"])
        return judged

    def _chosen(self, name: str) -> list[Take]:
        strata = {key: takes for key, takes in sorted(self._takes.items()) if key[0] == name and takes}
        if self._quotas is not None and self.is_complete:
            return [take for key, takes in strata.items() for take in takes[: self._quotas.get(key, 0)]]
        everything = [take for takes in strata.values() for take in takes]
        return spread_over_strata(everything, self._config.clips.max_clips(name), name)


def _quotas(config: DataConfig, machines: Sequence[str]) -> dict[Stratum, int]:
    quotas: dict[Stratum, int] = {}
    for name in JUDGED:
        labels = ("normal",) if name == "calibration" else ("anomalous", "normal")
        strata = [(name, machine, label) for machine in sorted(machines) for label in labels]
        max_clips = config.clips.max_clips(name)
        check_budget(max_clips, len(strata), name)
        share, rest = divmod(max_clips, len(strata))
        quotas |= {stratum: share + (place < rest) for place, stratum in enumerate(strata)}
    return quotas


def _check(chosen: Mapping[str, Sequence[Take]]) -> None:
    for name in ("validation", "test"):
        num_anomalous = sum(take.recording.label == "anomalous" for take in chosen[name])
        num_normal = len(chosen[name]) - num_anomalous
        if not num_normal or not num_anomalous:
            raise UserError(
                f"The stream must bring normal and anomalous takes for {name}, but brought {num_normal} normal and "
                f"{num_anomalous} anomalous ones. Choose another split.seed, larger fractions, or more data."
            )
    calibrated = {take.recording.machine for take in chosen["calibration"]}
    for take in (*chosen["validation"], *chosen["test"]):
        if take.recording.machine not in calibrated:
            raise UserError(
                f"Machine {take.recording.machine!r} must have normal takes to calibrate on, but the stream brought "
                "none. Leave that machine out, or raise split.calibration_fraction."
            )
