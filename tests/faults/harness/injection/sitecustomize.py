"""Python runs this file at the start of every process of a test in tests/faults, because its folder is on PYTHONPATH.

It reads a plan from the environment (tests/faults/harness/plan.py): a place in the code where the process kills itself
with SIGKILL, and constants that get other values. A module is changed right after its code has run, before any other
module imports from it, so no file of the product is changed.
"""

import importlib.util
import json
import os
import signal
import sys
from functools import wraps
from pathlib import Path

PLAN = json.loads(os.environ.get("MACHINE_LISTENING_FAULTS", "{}"))


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def is_first_death(place):
    """Whether no process of this plan has died yet. A place without a flag kills every process."""
    if not place["flag"]:
        return True
    try:
        os.close(os.open(place["flag"], os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


def name_of(argument):
    """The path that an argument of os.replace or os.write stands for, or the text of another argument."""
    return os.readlink(f"/proc/self/fd/{argument}") if type(argument) is int else str(argument)


def halve(path):
    os.truncate(path, os.path.getsize(path) // 2)


def dying(function, place):
    """The function, which kills its process before, after, or in the middle of its n-th call.

    In the middle of `os.replace` half of the file is written and has its first name; in that of `os.write` half of the
    line is written; in that of any other function what it appends to the file of its object lacks the last 20 bytes.
    """
    calls = 0

    @wraps(function)
    def call(*arguments, **options):
        nonlocal calls
        is_meant = not place["path"] or any(place["path"] in name_of(argument) for argument in arguments[:2])
        calls += is_meant
        is_now = is_meant and calls >= place["call"] and is_first_death(place)
        if is_now and place["when"] == "before":
            die()
        if is_now and place["when"] == "within":
            if function is os_replace:
                halve(arguments[0])
            elif function is os_write:
                os_write(arguments[0], arguments[1][: len(arguments[1]) // 2])
            else:
                function(*arguments, **options)
                path = Path(arguments[0]._path)
                os.truncate(path, path.stat().st_size - 20)
            die()
        result = function(*arguments, **options)
        if is_now:
            die()
        return result

    return call


os_replace, os_write = os.replace, os.write


def change(module):
    """Makes the changes of the plan that concern the module."""
    for name, value in PLAN.get("constants", {}).items():
        if name.partition(":")[0] == module.__name__:
            setattr(module, name.partition(":")[2], value)
    place = PLAN.get("place")
    if place and place["at"].partition(":")[0] == module.__name__:
        *owners, name = place["at"].partition(":")[2].split(".")
        owner = module
        for part in owners:
            owner = getattr(owner, part)
        setattr(owner, name, dying(getattr(owner, name), place))


class ChangingFinder:
    """Finds the modules of the plan like every other finder, and changes them when they have run."""

    def __init__(self, names):
        self._names = set(names)

    def find_spec(self, name, path, target=None):  # noqa: ARG002 (the import system names them)
        if name not in self._names:
            return None
        self._names.remove(name)
        spec = importlib.util.find_spec(name)
        run = spec.loader.exec_module

        def run_and_change(module):
            run(module)
            change(module)

        spec.loader.exec_module = run_and_change
        return spec


if PLAN:
    places = [PLAN["place"]["at"]] if PLAN.get("place") else []
    modules = {name.partition(":")[0] for name in [*PLAN.get("constants", {}), *places]}
    change(os)
    sys.meta_path.insert(0, ChangingFinder(modules - {"os"}))
