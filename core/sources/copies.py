"""Leaves out recordings that are copies of others: one would be trained on, and the other would judge."""

from dataclasses import replace

from core.data.recordings import Corpus, Recording, Skipped
from core.errors import UserError


def without_copies(corpus: Corpus) -> Corpus:
    """The corpus with one recording of each digest, the first by id; the others are among `skipped`.

    Raises UserError where copies have different labels or machines. Recordings of unknown label stay.
    """
    first_of: dict[str, Recording] = {}
    copies: dict[str, Recording] = {}
    for recording in sorted(corpus.recordings, key=lambda each: each.recording_id):
        first = first_of.setdefault(recording.digest, recording) if recording.label != "unknown" else recording
        if first is not recording:
            _check_alike(first, recording)
            copies[recording.recording_id] = first
    if not copies:
        return corpus
    skipped = (Skipped(name=name, reason=f"{name!r} is a copy of {of.recording_id!r}") for name, of in copies.items())
    return replace(
        corpus,
        description=f"{corpus.description}, of which {len(copies)} left out as copies of others",
        recordings=tuple(each for each in corpus.recordings if each.recording_id not in copies),
        skipped=(*corpus.skipped, *skipped),
    )


def _check_alike(first: Recording, copy: Recording) -> None:
    for what in ("label", "machine"):
        one, other = getattr(first, what), getattr(copy, what)
        if one != other:
            raise UserError(
                f"Recordings with the same sound must have one {what}, but {first.recording_id!r} is {one} and "
                f"{copy.recording_id!r} is {other}. Find out which is right, and remove the other."
            )
