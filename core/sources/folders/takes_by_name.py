"""The takes of a folder without a manifest, by the names of its folders and files.

Files of one folder whose names differ only in the number of the microphone are one take.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath

from core.data.recordings import Skipped
from core.errors import UserError
from core.sources.folders.file_names import is_named_normal, noise_level_db, parse_path, split_channel
from core.sources.folders.usable_files import usable_names
from core.sources.take_files import TakeFiles


def takes_by_name(folder: Path, corpus_name: str) -> tuple[tuple[TakeFiles, ...], tuple[Skipped, ...]]:
    """The takes, sorted, and why other files are not used. All files of a folder that is named `normal` are normal.

    UserError for two files of one microphone, and for a machine at several noise levels.
    """
    names, skipped = usable_names(folder, corpus_name)
    is_normal = not names and is_named_normal(folder.name)
    if is_normal:
        names, skipped = usable_names(folder, corpus_name, unlabelled_are_normal=True)
    groups, incomplete = _group_channels(names)
    takes = tuple(_take_of(folder, group, corpus_name, unlabelled_are_normal=is_normal) for group in groups)
    _check_one_noise_level(takes)
    return takes, (*skipped, *incomplete)


def with_usable_splits(takes: tuple[TakeFiles, ...]) -> tuple[TakeFiles, ...]:
    """Without the splits that the names state where they hold out no healthy take or leave none to train on, as where
    only the training part of a data set is there.

    Beside a validation part the test part is all test, if both have takes of every label that is held out. Otherwise
    both are dealt to validation and test.
    """
    splits = {take.split for take in takes if take.label == "normal"}
    if splits <= {"train", None} or splits <= {"validation", "held_out"}:
        return tuple(replace(take, split=None) for take in takes)
    if not any(take.split == "validation" for take in takes):
        return takes
    of_parts = [
        {t.label for t in takes if t.split == part and t.label != "unknown"} for part in ("validation", "held_out")
    ]
    old, new = ("held_out", "test") if of_parts[0] == of_parts[1] else ("validation", "held_out")
    return tuple(replace(take, split=new) if take.split == old else take for take in takes)  # type: ignore[arg-type]


def _group_channels(names: Iterable[str]) -> tuple[list[tuple[str, ...]], list[Skipped]]:
    """The files of each take in the order of their microphones, and the takes that lack a microphone of others.

    Files of one folder are one take if their names differ only in the number of the microphone.
    """
    takes: list[tuple[str, ...]] = []
    groups: dict[str, dict[int, str]] = defaultdict(dict)
    for name in names:
        path = PurePosixPath(name)
        channel = split_channel(path.stem)
        if channel is None:
            takes.append((name,))
            continue
        group = groups[(path.parent / f"{channel.take}{path.suffix.lower()}").as_posix()]
        if group.setdefault(channel.channel, name) != name:
            raise _doubled(channel.channel, group[channel.channel], name)
    complete, incomplete = _divide_complete(groups.values())
    return sorted([*takes, *complete]), incomplete


def _divide_complete(groups: Collection[Mapping[int, str]]) -> tuple[list[tuple[str, ...]], list[Skipped]]:
    """Takes with every microphone that occurs in the folder, and the other takes."""
    example = {channel: name for group in groups for channel, name in group.items()}
    complete, incomplete = [], []
    for group in groups:
        names = tuple(group[channel] for channel in sorted(group))
        missing = sorted(example.keys() - group.keys())
        if missing:
            reason = f"the take of {names[0]!r} has no microphone {missing[0]}, unlike that of {example[missing[0]]!r}"
            incomplete.append(Skipped(name=names[0], reason=reason))
        else:
            complete.append(names)
    return complete, incomplete


def _doubled(channel: int, first: str, second: str) -> UserError:
    return UserError(
        f"A take must have one file a microphone, but got {first!r} and {second!r}, both number {channel}. "
        "Rename or remove one of them."
    )


def _take_of(root: Path, names: tuple[str, ...], corpus_name: str, *, unlabelled_are_normal: bool) -> TakeFiles:
    parsed = parse_path(names[0], corpus_name=corpus_name, unlabelled_are_normal=unlabelled_are_normal)
    assert parsed is not None, names
    return TakeFiles(
        root=root,
        names=names,
        machine=parsed.machine,
        label=parsed.label,
        condition=parsed.condition,
        split=parsed.split,
    )


def _check_one_noise_level(takes: Iterable[TakeFiles]) -> None:
    """MIMII has the same takes at three noise levels. One level must not be trained on and another judged."""
    levels: dict[str, int] = {}
    for take in takes:
        level = noise_level_db(take.names[0])
        if level is not None and levels.setdefault(take.machine, level) != level:
            raise UserError(
                f"Machine {take.machine!r} must have one noise level, but got {levels[take.machine]} dB and "
                f"{level} dB, the same takes twice. Give the folder of one level."
            )
