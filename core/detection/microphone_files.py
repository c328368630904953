"""Recordings that are one mono file a microphone, put together as a study puts them together.

a_ch1.wav  a_ch2.wav                    names that differ in the number of `ch` alone, in one folder
1100010001_ToyCar_case1_normal_IND_ch1_0001.wav, 1200010001_ToyCar_case1_normal_IND_ch2_0001.wav    ToyADMOS
"""

from collections.abc import Sequence
from pathlib import Path

from core.data.channels import Channels
from core.data.recordings import BadRecording
from core.sources.audio_files import read_header
from core.sources.folders.file_names import split_channel
from core.sources.toyadmos.names import parse_name


def by_recording(names: Sequence[str], num_channels: int, channels: Channels | None = None) -> list[tuple[str, ...]]:
    """The files of each recording, in the order of their microphones; recordings are in the order of their first
    files.

    Of a detector with one channel every file is a recording by itself, unless it hears one of several `channels`. Of
    the others a file with all of the detector's channels is, whatever its name is.
    """
    if num_channels == 1 and channels is None:
        return [(name,) for name in names]
    recordings: dict[str, dict[int, str]] = {}
    for place, name in enumerate(names):
        take, microphone = _microphone_of(name) or ("", 0)
        if (
            not take
            or microphone in recordings.get(take, {})
            or (num_channels > 1 and _has_channels(name, num_channels))
        ):
            take = f"{place}"  # by itself
        recordings.setdefault(take, {})[microphone] = name
    return [tuple(files[microphone] for microphone in sorted(files)) for files in recordings.values()]


def check_microphones(names: Sequence[str], channels: Channels | None) -> None:
    """BadRecording for files of one microphone each that lack a chosen channel, or that would count as another.

    Their numbers must be those of the chosen channels, or run without a gap up to the last of these.
    """
    numbers = [found[1] for name in names if (found := _microphone_of(name)) and _has_channels(name, 1)]
    if not isinstance(channels, tuple) or len(numbers) < len(names) or tuple(numbers) == channels:
        return
    if numbers != list(range(numbers[0], numbers[0] + len(numbers))) or numbers[0] > 1 or len(numbers) < channels[-1]:
        chosen = ", ".join(map(str, channels))
        raise BadRecording(
            f"Recording {names[0]!r} must be of files of all microphones, or of {chosen}, which the detector hears, "
            f"but the files are of {', '.join(map(str, numbers))}. Give the others, too, or one file with all."
        )


def _has_channels(name: str, num_channels: int) -> bool:
    try:
        return read_header(Path(name), name).num_channels == num_channels
    except BadRecording:
        return False  # which is said when it is opened


def _microphone_of(name: str) -> tuple[str, int] | None:
    """What is equal for all files of a recording, and the number of the microphone; None for other names."""
    path = Path(name)
    toyadmos, other = parse_name(path.stem), split_channel(path.stem)
    if toyadmos:
        return str(path.with_name(f"{toyadmos.take_id}{path.suffix.lower()}")), toyadmos.channel
    return (str(path.with_name(f"{other.take}{path.suffix.lower()}")), other.channel) if other else None
