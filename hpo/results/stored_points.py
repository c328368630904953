"""The companion study `<name>-post` in the storage: its points as trials, for the dashboard."""

import hashlib
import json
from collections.abc import Sequence

import numpy as np
import optuna
from optuna.storages import JournalStorage

from hpo.results.post_study import PostPoint, PostSearch
from hpo.search.archive import is_companion
from hpo.search.notes import name_objective, write_note
from hpo.search.study import POST_OF, OpenStudy, companion_name, objective_name

MAX_STORED = {"journal": 3000, "database": 300}
"""Most points that become trials of the companion study. One takes 0.6 ms and 1.7 kB in a journal, 12 ms in SQLite."""
DIGEST = "digest"
"""User attribute of the companion study: the digest of its points."""
NOTE = (
    "Post-processing of the best trials' stored frame scores, searched after the trials ended; nothing was trained. "
    "The value is the study's objective on the validation clips, which chose the points."
)


def store_points(search: OpenStudy, found: PostSearch) -> int:
    """Makes the companion study, or replaces one with other points, and returns how many points it holds.

    Does nothing where it holds these points already. Returns 0 where a user's own study has the name.
    """
    name, backend = companion_name(search.study.study_name), search.storage.backend
    points = stored_points(found, MAX_STORED["journal" if isinstance(backend, JournalStorage) else "database"])
    digest = _digest(search.uid, points)
    with search.storage.lock():
        if name in optuna.get_all_study_names(backend):
            if not is_companion(name, search.storage):
                return 0
            if optuna.load_study(study_name=name, storage=backend).user_attrs.get(DIGEST) == digest:
                return len(points)
            optuna.delete_study(study_name=name, storage=backend)
        study = optuna.create_study(study_name=name, storage=backend, direction="maximize")
        study.set_user_attr(POST_OF, search.uid)
        study.add_trials([found.frozen(point) for point in points])
        name_objective(study, objective_name(search.study))
        write_note(backend, study._study_id, None, NOTE)
        study.set_user_attr(DIGEST, digest)  # last, so that an unfinished study is made again
    return len(points)


def stored_points(found: PostSearch, most: int) -> list[PostPoint]:
    """All points, or `most` of them at random, always with the highest."""
    points = list(found.points)
    if len(points) <= most:
        return points
    highest = points.index(found.highest)
    others = [int(index) for index in np.random.default_rng(0).permutation(len(points)) if index != highest]
    return [points[index] for index in sorted([highest, *others[: most - 1]])]


def _digest(uid: str, points: Sequence[PostPoint]) -> str:
    rows = [[dict(point.parameters), point.value] for point in points]
    return hashlib.sha256(json.dumps([uid, rows], sort_keys=True).encode()).hexdigest()[:16]
