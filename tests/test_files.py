"""Files written whole or not at all."""

from __future__ import annotations

import pytest

from mirguard.files import name_trouble, replacing, write_whole


def test_a_file_takes_the_place_of_the_old_one(tmp_path):
    path = tmp_path / "deep" / "file"
    write_whole(path, b"old")
    write_whole(path, b"new")
    assert path.read_bytes() == b"new"
    assert [entry.name for entry in path.parent.iterdir()] == ["file"]


def test_what_fails_half_way_leaves_the_old_one(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def half() -> None:
        with replacing(path) as temporary:
            temporary.write_bytes(b"ne")
            raise OSError(28, "full")

    with pytest.raises(OSError, match="full"):
        half()
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_a_place_where_no_folder_can_be_made(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OSError, match=r"."):
        write_whole(tmp_path / "file" / "below", b"data")


@pytest.mark.parametrize("name", ["a", "Größe 2", "x.y", "_x", "CONSOLE", "Bob's (new) model+1", "x" * 80])
def test_names_that_every_system_takes(tmp_path, name):
    assert name_trouble(name) == ""
    (tmp_path / name).mkdir()


@pytest.mark.parametrize(
    ("name", "why"),
    [
        (3, "at least one"),
        ("", "at least one"),
        ("  ", "at least one"),
        ("x" * 81, "longer than 80"),
        ("a/b", "no file may have"),
        ("a\nb", "no file may have"),
        (".hidden", "begins with"),
        ("--replace", "begins with"),
        (" x", "begins with"),
        ("x.", "ends with"),
        ("nul", "for a device"),
        ("COM1.model", "for a device"),
    ],
)
def test_names_that_some_system_refuses(name, why):
    assert why in name_trouble(name)
