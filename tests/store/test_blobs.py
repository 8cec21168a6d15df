import os
import signal
from hashlib import sha256

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nbflow._store.blobs import Blobs
from nbflow._store.paths import make_app
from nbflow.errors import StoreDamaged

DATA = b"value" * 5000
DIGEST = sha256(DATA).hexdigest()


@pytest.fixture
def folder(app_dir):
    make_app(app_dir)
    return app_dir / "blobs"


@pytest.fixture
def blobs(folder):
    return Blobs(folder)


def test_a_blob_is_found_by_its_digest(blobs, folder):
    blobs.put(DIGEST, DATA)
    assert blobs.get(DIGEST) == DATA
    assert os.listdir(folder) == [DIGEST]


@settings(
    max_examples=50,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(position=st.integers(0, len(DATA) - 1), bit=st.integers(0, 7))
def test_any_changed_bit_is_noticed_and_healed(folder, position, bit):
    Blobs(folder).put(DIGEST, DATA)
    changed = bytearray(DATA)
    changed[position] ^= 1 << bit
    (folder / DIGEST).write_bytes(changed)

    with pytest.raises(StoreDamaged, match=f"{DIGEST}: this stored value was changed"):
        Blobs(folder).get(DIGEST)

    Blobs(folder).put(DIGEST, DATA)
    assert Blobs(folder).get(DIGEST) == DATA


def test_a_missing_blob_is_named(blobs):
    with pytest.raises(StoreDamaged, match=f"{DIGEST}: this stored value is missing"):
        blobs.get(DIGEST)


@pytest.mark.parametrize("digest", ["", "../store.db", DIGEST.upper(), DIGEST + "\n"])
def test_only_digests_name_files(blobs, digest):
    with pytest.raises(StoreDamaged, match="no digest"):
        blobs.get(digest)
    with pytest.raises(StoreDamaged, match="no digest"):
        blobs.put(digest, b"")


def test_a_link_in_its_place_is_not_followed(blobs, folder, tmp_path):
    blobs.put(sha256(b"").hexdigest(), b"")
    (tmp_path / "elsewhere").write_bytes(DATA)
    (folder / DIGEST).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Exception, match=DIGEST):
        blobs.get(DIGEST)


PUT = """
import os
from pathlib import Path
from nbflow._store.blobs import Blobs
def faults(point):
    os.kill(os.getpid(), 9)
Blobs(Path(sys.argv[1]), faults).put(sys.argv[2], b"value" * 5000)
"""


def test_a_crash_leaves_no_half_blob_under_its_name(blobs, folder, python):
    process = python(PUT, folder, DIGEST)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert DIGEST not in os.listdir(folder)

    blobs.put(DIGEST, DATA)
    assert blobs.get(DIGEST) == DATA
