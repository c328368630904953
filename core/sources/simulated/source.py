"""The source `simulated`: takes of simulated toy cars, which are synthesised when they are read."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from core.data.audio import Waveform
from core.data.recordings import Corpus, Label, Recording
from core.errors import UserError
from core.sources.options import read_options
from core.sources.simulated.car import SYNTHESIS_VERSION, Fault, TakeSetting, build_body, synthesise

CONDITIONS: tuple[tuple[Fault, ...], ...] = (
    ("bent shaft",),
    ("deformed gears",),
    ("melted gears",),
    ("plastic ribbon",),
    ("steel ribbon",),
    ("under voltage",),
    ("over voltage",),
    ("bent shaft", "under voltage"),
    ("deformed gears", "plastic ribbon"),
    ("melted gears", "over voltage"),
    ("steel ribbon", "under voltage"),
    ("bent shaft", "deformed gears", "steel ribbon"),
)
"""Anomalous takes have these faults in turn."""
GOLDEN_RATIO = (5**0.5 - 1) / 2


@dataclass(frozen=True, kw_only=True)
class SimulatedConfig:
    """The number and kind of simulated takes."""

    sample_rate_hz: int = 4000
    """The rate at which takes are synthesised."""
    seconds: float = 3.0
    """The length of a take."""
    num_normal: int = 64
    """Normal takes of each machine."""
    num_anomalous: int = 48
    """Anomalous takes of each machine."""
    num_microphones: int = 4
    """Channels of every take."""
    severity: float = 1.0
    """Of the faults: a good detector detects most at 1 and few at 0.3."""
    machines: int = 1
    """The number of cars, which sound slightly different."""
    seed: int = 0
    """Another seed gives other cars and other takes."""

    def __post_init__(self) -> None:
        for name, low, high in (
            ("sample_rate_hz", 2000, 96_000),
            ("seconds", 0.5, 600),
            ("num_normal", 0, 100_000),
            ("num_anomalous", 0, 100_000),
            ("num_microphones", 1, 64),
            ("severity", 0.05, 3),
            ("machines", 1, 1000),
            ("seed", 0, 2**63 - 1),
        ):
            value = getattr(self, name)
            kinds = (int, float) if name in ("seconds", "severity") else (int,)
            if isinstance(value, bool) or not isinstance(value, kinds) or not low <= value <= high:
                whole = "" if float in kinds else "a whole number "
                raise UserError(f"data.{name} must be {whole}from {low} to {high}, but got {value!r}.")


def open_simulated(options: Mapping[str, object]) -> Corpus:
    """Lists the takes. `options` are fields of SimulatedConfig. Raises UserError for a wrong option."""
    config = read_options(SimulatedConfig, options, source="simulated")
    counts: Mapping[Label, int] = {"normal": config.num_normal, "anomalous": config.num_anomalous}
    recordings = (
        _recording(config, machine, label, index)
        for machine in range(config.machines)
        for label, count in counts.items()
        for index in range(count)
    )
    return Corpus(name="simulated", description=_describe(config), recordings=tuple(recordings))


def _describe(config: SimulatedConfig) -> str:
    cars = "a toy car" if config.machines == 1 else f"{config.machines} toy cars, each"
    return (
        f"SIMULATED data, not recordings: {cars} with {config.num_microphones} microphones, {config.num_normal} normal "
        f"and {config.num_anomalous} anomalous takes of {config.seconds:g} s at {config.sample_rate_hz} Hz"
    )


def _recording(config: SimulatedConfig, machine: int, label: Label, index: int) -> Recording:
    faults = CONDITIONS[index % len(CONDITIONS)] if label == "anomalous" else ()
    name = f"car{machine + 1}"
    what_it_is_made_of = (
        f"{SYNTHESIS_VERSION} {config.sample_rate_hz} {config.seconds} {config.num_microphones} {config.seed} "
        f"{config.severity} {machine} {label} {index} {faults}"
    )
    return Recording(
        recording_id=f"{name}/{label}/{index:05d}",
        machine=name,
        label=label,
        condition=", ".join(faults) or "normal",
        num_channels=config.num_microphones,
        sample_rate_hz=config.sample_rate_hz,
        num_samples=round(config.seconds * config.sample_rate_hz),
        digest=hashlib.sha256(what_it_is_made_of.encode()).hexdigest()[:16],
        read=partial(_synthesise_take, config, machine, label, index, faults),
    )


def _synthesise_take(
    config: SimulatedConfig, machine: int, label: Label, index: int, faults: tuple[Fault, ...]
) -> Waveform:
    body = build_body(config.num_microphones, np.random.default_rng([config.seed, machine]))
    # Steps of the golden ratio spread levels evenly for any number of takes, so neither label is louder by chance.
    level = 2 * (index * GOLDEN_RATIO % 1) - 1
    seed = (config.seed, machine, int(label == "anomalous"), index)
    setting = TakeSetting(faults=faults, severity=config.severity, level=level, seed=seed)
    num_samples = round(config.seconds * config.sample_rate_hz)
    return synthesise(body, setting, sample_rate_hz=config.sample_rate_hz, num_samples=num_samples)
