"""Environmental noise mixed into takes at a stated signal-to-noise ratio, over all C microphones at once.

    mix = car + gain * noise        gain = sqrt(mean(car^2) / (mean(noise^2) * 10^(snr_db / 10)))

The means are over all microphones and samples. So all microphones have the same gain, and the differences between them
stay as recorded. The mix is float32 and may exceed full scale; it is not clipped.

A hash of the seed and the take's id selects the recording of noise and the position in it, so the choice does not
depend on the other takes. It changes when recordings of noise are added, and the take's digest changes with it.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import soundfile

from core.data.audio import Waveform
from core.data.recordings import REPAIR, BadRecording, Recording, resample
from core.sources.toyadmos.takes import OpenedTake

MIXING_VERSION = "1"
"""Part of the digests. Raise it when the same options give another mix."""


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """A recording of noise, and the first sample of it that is mixed in."""

    noise: OpenedTake
    start: int


def with_noise(recording: Recording, noises: Sequence[OpenedTake], *, snr_db: float, seed: int) -> Recording:
    """The recording with noise. `noises` must not be empty and must have the same order each time.

    Reading the result raises BadRecording for noise that is silent or not finite at this position.
    """
    stretch = choose_stretch(recording, noises, seed=seed)
    made_of = (
        f"{MIXING_VERSION} {recording.digest} {float(snr_db)!r} {seed} {stretch.noise.recording.digest} {stretch.start}"
    )

    def read() -> Waveform:
        car = recording.read()
        return mix(car, _read_noise(stretch, recording, num_samples=car.shape[1]), snr_db=snr_db)

    return replace(recording, digest=hashlib.sha256(made_of.encode()).hexdigest()[:16], read=read)


def choose_stretch(recording: Recording, noises: Sequence[OpenedTake], *, seed: int) -> Stretch:
    """A uniform choice of the recording of noise and of the start. The noise wraps around only if it is too short."""
    draw = hashlib.sha256(f"{seed}\t{recording.recording_id}".encode()).digest()
    noise = noises[int.from_bytes(draw[:8]) % len(noises)]
    spare = noise.recording.num_samples - _num_noise_samples(recording, noise, recording.num_samples)
    num_starts = spare + 1 if spare >= 0 else noise.recording.num_samples
    return Stretch(noise=noise, start=int.from_bytes(draw[8:16]) % num_starts)


def mix(car: Waveform, noise: Waveform, *, snr_db: float) -> Waveform:
    """Both (C, T) float32, neither silent."""
    car_power, noise_power = (float(np.mean(np.square(part, dtype=np.float64))) for part in (car, noise))
    gain = np.sqrt(car_power / (noise_power * 10 ** (snr_db / 10)))
    mixed: Waveform = (car + gain * noise).astype(np.float32)
    return mixed


def _num_noise_samples(recording: Recording, noise: OpenedTake, num_samples: int) -> int:
    """The length of `num_samples` of the take in samples of the noise, rounded up."""
    return -(-num_samples * noise.recording.sample_rate_hz // recording.sample_rate_hz)


def _read_noise(stretch: Stretch, recording: Recording, *, num_samples: int) -> Waveform:
    """(C, num_samples) float32 at the take's rate."""
    noise = stretch.noise
    num_noise_samples = _num_noise_samples(recording, noise, num_samples)
    parts = []
    for name in noise.files.names:
        part = _read_file(noise, name, start=stretch.start, num_samples=num_noise_samples)
        _check_sound(part, name, stretch.start, num_noise_samples, recording.recording_id)
        parts.append(part)
    waveform = resample(np.stack(parts), noise.recording.sample_rate_hz, recording.sample_rate_hz)
    return waveform[:, :num_samples]


def _read_file(noise: OpenedTake, name: str, *, start: int, num_samples: int) -> Waveform:
    """(num_samples,) float32 from `start` on. A file that ends before is repeated."""
    ends_before = start + num_samples > noise.recording.num_samples
    first, count = (0, noise.recording.num_samples) if ends_before else (start, num_samples)
    try:
        samples, _ = soundfile.read(str(noise.files.root / name), start=first, frames=count, dtype="float32")
    except soundfile.LibsndfileError as error:
        reason = str(error.error_string).rstrip(".")
        raise BadRecording(f"Noise {name!r} must be decodable, but got {reason!r}. {REPAIR}") from error
    if len(samples) < count:
        raise BadRecording(
            f"Noise {name!r} is truncated: it must hold {first + count} samples, but got {first + len(samples)}. "
            f"{REPAIR}"
        )
    if ends_before:
        samples = np.take(samples, np.arange(start, start + num_samples), mode="wrap")
    return np.asarray(samples, dtype=np.float32)


def _check_sound(samples: Waveform, name: str, start: int, num_samples: int, take_id: str) -> None:
    finite = bool(np.isfinite(samples).all())
    if finite and samples.max() > samples.min():
        return
    raise BadRecording(
        f"Noise {name!r} must be finite and sound from sample {start} to {start + num_samples}, "
        f"which take {take_id!r} is mixed with, but got {'silence' if finite else 'NaN or infinity'}. {REPAIR}"
    )
