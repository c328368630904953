"""The key of a run, which stays the same when the run resumes, and the number in it.

    <uid>/7      the first run of trial 7
    <uid>/7/2    its second: another machine took the trial over, without the files of the first

A machine that takes a trial over and has its files resumes the trial's run. Without them it starts a run with the next
number, and the run with the highest number replaces the others, so a trial has one run that counts.
"""

FIRST_RUN = 1


def numbered_run_key(trial_key: str, number: int) -> str:
    """The key of a trial's run; `number` counts from FIRST_RUN."""
    return trial_key if number == FIRST_RUN else f"{trial_key}/{number}"


def split_run_key(key: str) -> tuple[str, int]:
    """The key of the trial (of the study, of a single experiment), and the number of the run."""
    trial_key, _, number = key.rpartition("/")
    return (trial_key, int(number)) if "/" in trial_key and number.isdigit() else (key, FIRST_RUN)
