"""Tables as spreadsheets write them: every separator, encoding and number is read alike, and errors name the row."""

import codecs
from pathlib import Path

import pytest

from core.errors import UserError
from core.sources.tables import read_table
from tests.folder_files import listed, write

ROWS = [["path", "machine", "label", "start_s"], ["Lüfter 1.wav", "Lüfter", "OK", "0.5"], ["b.wav", "fan", "NG", "12"]]


def lines(separator: str, line_end: str, *, comma: bool = False) -> str:
    rows = [[cell.replace("0.5", "0,5") if comma else cell for cell in row] for row in ROWS]
    return "".join(separator.join(row) + line_end for row in rows)


@pytest.mark.parametrize("separator", [",", ";", "\t"], ids=["comma", "semicolon", "tab"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"], ids=["LF", "CRLF", "CR"])
@pytest.mark.parametrize(
    ("mark", "encoding"),
    [
        (b"", "utf-8"),
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
        (b"", "utf-16-le"),
        (b"", "utf-16-be"),
        (b"", "cp1252"),
    ],
    ids=["UTF-8", "UTF-8 BOM", "UTF-16 LE", "UTF-16 BE", "UTF-16 LE no BOM", "UTF-16 BE no BOM", "cp1252"],
)
def test_every_kind_of_table_is_read_alike(tmp_path: Path, separator: str, line_end: str, mark: bytes, encoding: str):
    path = tmp_path / "manifest.csv"
    path.write_bytes(mark + lines(separator, line_end, comma=separator != ",").encode(encoding))
    first, second = read_table(path, ("path", "machine", "label"))
    assert (first.cells["path"], first.cells["machine"], first.cells["label"]) == ("Lüfter 1.wav", "Lüfter", "OK")
    assert (first.where, second.where) == ("manifest.csv row 2", "manifest.csv row 3")
    assert (first.number("start_s"), second.number("start_s")) == (0.5, 12)


@pytest.mark.parametrize("first_line", ["sep=;\r\n", "SEP=;\n", '"sep=;"\r\n'])
def test_the_line_by_which_excel_knows_the_separator_is_no_row(tmp_path, first_line):
    path = tmp_path / "t.csv"
    path.write_text(f"{first_line}path;label\na, b.wav;OK\n", newline="")
    (row,) = read_table(path, ("path", "label"))
    assert (row.where, row.cells) == ("t.csv row 2", {"path": "a, b.wav", "label": "OK"})


def test_commas_and_semicolons_in_cells_do_not_change_the_separator(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text('path;label;remark, by whom; \na.wav;OK;one, two, three\nb.wav;NG;"x;y";\n')
    assert [row.cells["remark, by whom"] for row in read_table(path, ("path", "label"))] == ["one, two, three", "x;y"]


@pytest.mark.parametrize(("text", "number"), [("-0,25", -0.25), ("1.234,5", None), ("1,2,3", None), ("inf", None)])
def test_a_decimal_comma_is_one_comma_between_digits(tmp_path, text, number):
    path = tmp_path / "t.csv"
    path.write_text(f"path;start_s\na.wav;{text}\n")
    (row,) = read_table(path, ("path", "start_s"))
    assert row.number("start_s") == (
        pytest.approx(number) if number is not None else pytest.approx(float("nan"), nan_ok=True)
    )


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", ["t.csv must have a header", "row 1", "path,label"]),
        (b"\n\n", ["must have a header"]),
        (b"path,label\na.wav,\x81\n", ["line 2", "UTF-8"]),
        (b"PK\x03\x04\x14\x00", ["Excel workbook", "Save it as CSV"]),
        (b"\xff\xfe\x00path", ["t.csv"]),
        (b"\x00\x01\x02\x03" * 50, ["t.csv"]),
        (b"path,label\n" + b"x" * 200_000 + b",OK\n", ["row 2"]),
        (b"path;label\na.wav;OK;fan\n", ["row 2", "at most 2 cells", "'fan'", "semicolon"]),
    ],
)
def test_what_is_no_table_is_one_line_that_names_file_and_row(tmp_path, content, words):
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    with pytest.raises(UserError) as refusal:
        read_table(path, ("path", "label"))
    message = str(refusal.value)
    assert all(word in message for word in words), message
    assert message.isprintable()
    assert len(message) < 400


def test_a_manifest_and_events_from_a_german_excel_are_a_corpus(tmp_path):
    for name in ("Motor gut.wav", "Motor schlecht.wav"):
        write(tmp_path / "Prüfstand" / name)
    manifest = (
        "path;machine;label;sample_rate_hz;events\r\nPrüfstand\\Motor gut.wav;Motor;iO;8000,0;\r\n"
        "Prüfstand\\Motor schlecht.wav;Motor;n.i.O.;8000;Ereignisse.csv\r\n"
    )
    (tmp_path / "manifest.csv").write_bytes(manifest.encode("cp1252"))
    events = "path\tstart_s\tend_s\r\nPrüfstand/Motor schlecht.wav\t0,125\t0,25\r\n"
    (tmp_path / "Ereignisse.csv").write_bytes(events.encode("utf-16"))
    good, bad = listed(tmp_path).recordings
    assert (good.label, bad.label, bad.events) == ("normal", "anomalous", ((0.125, 0.25),))


def test_a_wrong_number_in_a_semicolon_table_names_file_row_and_column(tmp_path):
    write(tmp_path / "a.wav")
    (tmp_path / "manifest.csv").write_text("path;machine;label;events\na.wav;fan;NG;e.csv\n")
    (tmp_path / "e.csv").write_text("path;start_s;end_s\na.wav;0,1;0,2,3\n")
    with pytest.raises(UserError, match=r"e\.csv row 2: end_s must be a number of seconds, .* got '0,2,3'"):
        listed(tmp_path)
