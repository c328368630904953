"""What all plots share: none is drawn while another thread is half way through importing pandas."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
DRAWN_WHILE_PANDAS_IS_IMPORTED = """
import sys, threading, time
from importlib.abc import MetaPathFinder

class Slow(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == "pandas.core":
            time.sleep(0.5)

sys.meta_path.insert(0, Slow())
import numpy, plotly.graph_objects as go
from hpo.pages.plot_style import wait_for_pandas
thread = threading.Thread(target=lambda: __import__("pandas"))
thread.start()
while "pandas" not in sys.modules:
    time.sleep(0.001)
WAIT
try:
    go.Scatter(x=[1, 2], y=[1, 2], hovertemplate="%{x}")
finally:
    thread.join()
"""


@pytest.mark.parametrize(("wait", "fails"), [("wait_for_pandas()", False), ("", True)])
def test_a_plot_waits_for_pandas_that_another_thread_imports(wait: str, fails: bool) -> None:
    """Without the wait plotly fails, so that it can go when plotly does not."""
    code = DRAWN_WHILE_PANDAS_IS_IMPORTED.replace("WAIT", wait)
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ("'pandas' has no attribute" in done.stderr) == fails
    assert (done.returncode != 0) == fails, done.stderr
