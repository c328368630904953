"""What recordings must have to be split: both labels, a split that all or none state, and enough in each part."""

from collections.abc import Sequence

from core.data.recordings import Recording
from core.errors import UserError


def check_labels(recordings: Sequence[Recording], *, needs_anomalous: bool) -> None:
    for label in ("normal", "anomalous") if needs_anomalous else ("normal",):
        if not any(recording.label == label for recording in recordings):
            raise UserError(
                f"The data must hold {label} recordings, but got none among {len(recordings)} recordings. "
                "The network is trained on normal ones, and anomalous ones measure its success: label some of each."
            )


def check_all_ask(recordings: Sequence[Recording]) -> None:
    silent = [recording.recording_id for recording in recordings if recording.split is None]
    if silent:
        raise UserError(
            f"The split must be stated for every recording or for none, but is not for {len(silent)} of "
            f"{len(recordings)}, such as {silent[0]!r}. State it (the column split of a manifest, folders named train "
            "and test), or for none to split by the seed."
        )
    for recording in recordings:
        check_normal_if_train(recording)


def check_normal_if_train(recording: Recording) -> None:
    if recording.split == "train" and recording.label == "anomalous":
        raise UserError(
            f"The split train must hold only normal recordings, but got {recording.recording_id!r}, which is "
            "anomalous. Move it to validation or test."
        )


def check_part(takes: Sequence[Recording], part: str, *, needs_anomalous: bool) -> None:
    counts = [sum(take.label == label for take in takes) for label in ("normal", "anomalous")]
    if 0 in counts[: 2 if needs_anomalous else 1]:
        kinds = "normal and anomalous" if needs_anomalous else "normal"
        raise UserError(
            f"The split {part} must hold {kinds} recordings, but got {counts[0]} normal and {counts[1]} "
            "anomalous ones. Put some there; or split by the seed: empty the column split of a manifest, or give "
            "folders and files other names than train, val and test."
        )
