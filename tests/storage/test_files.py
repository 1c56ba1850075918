"""Paths on a disk and under gs://, and that files are written whole."""

import subprocess
import sys
from pathlib import Path

import pytest
import tensorflow as tf

from rl_keras.errors import UsageError
from rl_keras.storage.cloud import CloudPath
from rl_keras.storage.files import folder, try_writing, write_bytes

ROOT = Path(__file__).parents[2]


def test_local_text_is_a_local_path():
    for text in ("runs/a", "/runs/a", "~/a", "gs", "C:/a", "a:b"):
        assert folder(text, "workdir") == Path(text)
    path = Path("runs")
    assert folder(path, "workdir") is path


@pytest.mark.parametrize("text", ["gs://bucket", "gs://bucket/a/b", "gs://bucket/a/", "gs://b//a"])
def test_cloud_text_keeps_both_slashes(text):
    path = folder(text, "workdir")
    assert isinstance(path, CloudPath) and str(path).startswith("gs://b")
    assert str(path / "c").startswith("gs://b") and not str(path).endswith("/")


@pytest.mark.parametrize(
    "text", ["s3://a/b", "file:///a", "gs://", "gs:///a", "gs:/a/b", "hdfs:/a"]
)
def test_other_schemes_are_refused_by_the_name_of_the_flag(text):
    with pytest.raises(UsageError, match="--data_dir must be a local folder or gs://") as error:
        folder(text, "data_dir")
    assert text in str(error.value)


def test_names_are_those_of_pathlib():
    cloud, local = CloudPath("gs://bucket/runs"), Path("/bucket/runs")
    for names in (["a"], ["a", "b.tar.npz"], ["a", ".lock"]):
        one, other = cloud, local
        for name in names:
            one, other = one / name, other / name
        assert str(one) == f"gs:/{other}"
        assert str(one.parent) == f"gs:/{other.parent}"
        assert (one.name, one.stem) == (other.name, other.stem)
        assert str(one.with_name("x")) == f"gs:/{other.with_name('x')}"
    bucket = CloudPath("gs://bucket")
    assert bucket.parent == bucket
    assert sorted([bucket / "b", bucket / "a"]) == [bucket / "a", bucket / "b"]
    assert len({bucket / "a", bucket / "a"}) == 1


@pytest.fixture(params=["disk", "cloud"])
def place(request, tmp_path):
    """A folder that does not exist yet, in both kinds of places."""
    if request.param == "disk":
        return tmp_path / "folder"
    return request.getfixturevalue("bucket") / "files" / "folder"


def test_files_come_back_and_go_away(place):
    assert not place.exists() and not place.is_dir() and not list(place.glob("*"))
    with pytest.raises(FileNotFoundError):
        list(place.iterdir())
    contents = {name: name.encode() * number for number, name in enumerate("abcdefgh")}
    for name, content in contents.items():
        write_bytes(place / f"{name}.bin", content)
    assert {path.name: path.read_bytes() for path in place.iterdir()} == {
        f"{name}.bin": content for name, content in contents.items()
    }
    assert place.is_dir() and not (place / "a.bin").is_dir()
    assert (place / "a.bin").is_file() and not place.is_file() and not (place / "z").is_file()
    assert [path.name for path in sorted(place.glob("[bc]*.bin"))] == ["b.bin", "c.bin"]
    for path in place.iterdir():
        path.unlink()
    place.rmdir()
    assert not place.exists()


def test_missing_files_raise_what_they_raise_on_a_disk(place):
    with pytest.raises(FileNotFoundError) as error:
        (place / "a").read_bytes()
    assert error.value.filename in (str(place / "a"), place / "a") and error.value.strerror
    with pytest.raises(FileNotFoundError):
        (place / "a").unlink()
    (place / "a").unlink(missing_ok=True)


def test_a_file_that_is_written_again_is_read_whole(place):
    for length in (1, 3_000_000, 10, 0):
        write_bytes(place / "a", b"x" * length)
        assert (place / "a").read_bytes() == b"x" * length
    (place / "a").unlink()


def test_a_folder_is_tried_without_leaving_anything(place):
    try_writing(place / "deep" / "below")
    assert not place.exists()
    write_bytes(place / "file", b"")
    with pytest.raises(NotADirectoryError):
        try_writing(place / "file")
    (place / "file").unlink()


def test_a_folder_made_by_hand_is_an_empty_folder(bucket):
    tf.io.gfile.makedirs(str(bucket / "by" / "hand"))
    assert (bucket / "by" / "hand").is_dir() and not list((bucket / "by" / "hand").iterdir())
    assert [path.name for path in (bucket / "by").iterdir()] == ["hand"]


def test_errors_of_the_store_are_one_line_and_name_the_object(bucket, monkeypatch):
    with pytest.raises(OSError, match="403") as error:
        write_bytes(CloudPath("gs://readonly/a"), b"")
    assert error.value.filename == "gs://readonly/a" and "\n" not in error.value.strerror

    def fail(*_):
        raise tf.errors.UnavailableError(None, None, "away\nfor long")

    monkeypatch.setattr(tf.io.gfile, "exists", fail)
    with pytest.raises(OSError, match="away: 'gs://bucket/a'") as error:
        (bucket / "a").exists()
    assert not isinstance(error.value, FileNotFoundError)


# Prints the content of an object three times, and waits for a line after each. What main.py sets
# before TensorFlow is imported matters here.
READS = """
import os
del os.environ["GCS_STAT_CACHE_MAX_AGE"]
import main
from rl_keras.storage.cloud import CloudPath
for _ in range(3):
    print(CloudPath("gs://bucket/shared").read_text(), flush=True)
    input()
"""


def test_what_another_process_writes_is_seen_whole_and_at_once(bucket):
    path = bucket / "shared"
    path.write_bytes(b"first")
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", READS], cwd=ROOT, **pipes) as process:
        seen = [process.stdout.readline()]
        for content in (b"longer than before", b"less"):
            path.write_bytes(content)
            process.stdin.write("\n")
            process.stdin.flush()
            seen.append(process.stdout.readline())
        process.stdin.write("\n")
    assert seen == ["first\n", "longer than before\n", "less\n"]


def test_paths_need_no_tensorflow_until_they_are_used():
    code = (
        "import sys; from rl_keras.storage.files import folder;"
        "str(folder('gs://b/a', 'workdir') / 'c');"
        "sys.exit('tensorflow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
