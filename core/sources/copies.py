"""Leaves out recordings that are copies of others: one would be trained on, and the other would judge."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from core.data.recordings import BadRecording, Corpus, Recording, Skipped


def without_copies(corpus: Corpus, *, skip_bad_files: bool = False) -> Corpus:
    """The corpus with one recording of each digest, the first by id; the others are among `skipped`.

    Raises BadRecording where copies have different labels or machines; with `skip_bad_files` all of them are left out,
    because nobody knows which is right. Recordings of unknown label stay.
    """
    same: dict[str, list[Recording]] = defaultdict(list)
    for recording in sorted(corpus.recordings, key=lambda each: each.recording_id):
        if recording.label != "unknown":
            same[recording.digest].append(recording)
    skipped = {name: reason for each in same.values() for name, reason in _left_out(each, skip_bad_files)}
    if not skipped:
        return corpus
    return replace(
        corpus,
        description=f"{corpus.description}, of which {len(skipped)} left out as copies",
        recordings=tuple(each for each in corpus.recordings if each.recording_id not in skipped),
        skipped=(*corpus.skipped, *(Skipped(name=name, reason=reason) for name, reason in skipped.items())),
    )


def _left_out(same: Sequence[Recording], skip_bad_files: bool) -> list[tuple[str, str]]:
    """Of recordings with the same sound: the ids of those that are left out, with the reason."""
    first = same[0]
    contradiction = next((text for copy in same[1:] if (text := _contradiction(first, copy))), None)
    if contradiction is None:
        return [(copy.recording_id, f"{copy.recording_id!r} is a copy of {first.recording_id!r}") for copy in same[1:]]
    if not skip_bad_files:
        raise BadRecording(
            f"{contradiction} Find out which is right and remove the other, or leave out both with --skip-bad-files."
        )
    return [(each.recording_id, contradiction) for each in same]


def _contradiction(first: Recording, copy: Recording) -> str | None:
    for what in ("label", "machine"):
        one, other = getattr(first, what), getattr(copy, what)
        if one != other:
            return (
                f"Recordings with the same sound must have one {what}, but {first.recording_id!r} is {one} and "
                f"{copy.recording_id!r} is {other}."
            )
    return None
