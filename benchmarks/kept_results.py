"""The version of results that a benchmark keeps in files, from which an interrupted command resumes."""

from core.decision.normal_sound import FORMAT as NORMAL_SOUND_FORMAT
from core.model.frame_statistics import FORMAT as STATISTICS_FORMAT
from core.model.scored_training import FORMAT as TRAINING_FORMAT


def version_of_results(*, are_judged: bool = True) -> str:
    """Part of a file's name. Results of another version are computed again.

    Scores and decisions of clips are judged; the statistics of frames are not, and do not depend on the normal sound.
    """
    version = f"{TRAINING_FORMAT}-statistics-{STATISTICS_FORMAT}"
    return f"{version}-normal-sound-{NORMAL_SOUND_FORMAT}" if are_judged else version
