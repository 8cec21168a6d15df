"""Where stores live: the home `.nbflow`, one folder an app, and who may own them."""

import os
import re
import stat
from pathlib import Path

from nbflow._store.failures import from_os, unreadable
from nbflow.errors import (
    InvalidName,
    NotAStore,
    StoreError,
    UnsafeStore,
    UnsupportedFileSystem,
)

HOME = ".nbflow"
STORE = "store.db"
LOCK = "engine.lock"
INBOX = "inbox"
BLOBS = "blobs"
STEPS = "steps"

_APP = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_NETWORK = {
    "9p",
    "afs",
    "beegfs",
    "ceph",
    "cifs",
    "davfs",
    "fuse.ceph",
    "fuse.davfs2",
    "fuse.gcsfuse",
    "fuse.glusterfs",
    "fuse.juicefs",
    "fuse.rclone",
    "fuse.s3fs",
    "fuse.sshfs",
    "glusterfs",
    "gpfs",
    "lustre",
    "ncpfs",
    "nfs",
    "nfs4",
    "smb3",
    "smbfs",
}


def find_home(home: str | os.PathLike[str] | None = None, create: bool = False) -> Path:
    """The `.nbflow` folder to use; with `create` it is made if missing.

    That is `home`, else NBFLOW_HOME, else the nearest `.nbflow` at or above the
    working folder, else (which need not exist) the one in the working folder. Raises
    UnsafeStore, NotAStore, StoreReadOnly, StoreFull, StoreError (may not be read).
    """
    named = home or os.environ.get("NBFLOW_HOME")
    if named:
        found = Path(os.path.abspath(Path(named).expanduser()))
        if _is_there(found) and not found.is_dir():
            raise NotAStore(
                f"{found}: is not a folder; name the `.nbflow` folder, or another "
                "one that may be made"
            )
    else:
        here = Path.cwd()
        # A stranger's folder further up is no place to write one's own data to.
        above = (folder / HOME for folder in (here, *here.parents))
        mine = (path for path in above if _usable(path, create))
        found = next(mine, here / HOME)
    if create:
        make_home(found)
    return found


def app_dir(home: Path, app: str) -> Path:
    """The folder of an app, which need not exist. Raises InvalidName."""
    if not _APP.fullmatch(app):
        raise InvalidName(
            f"app {app!r}: an app name begins with a letter or digit and holds at "
            "most 128 of A-Z a-z 0-9 . _ -"
        )
    return home / app


def apps(home: Path) -> list[str]:
    """Names of the apps that have a store in this home, or may have one.

    One that may not be looked into is listed: who opens it hears why it cannot be read.
    None where the home does not exist. Raises StoreError where it cannot be listed.
    """
    try:
        names = os.listdir(home)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise unreadable(error, home) from error
    return sorted(name for name in names if _APP.fullmatch(name) and _has(home / name))


def has_store(folder: Path) -> bool:
    """Whether the app's folder holds a database (of whatever state), or may."""
    return _has(folder)


def make_home(home: Path) -> None:
    """Make the home, for this user only and unseen by git."""
    try:
        home.parent.mkdir(parents=True, exist_ok=True)
        make_folder(home)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            fd = os.open(home / ".gitignore", flags, 0o600)
        except FileExistsError:
            return
        with open(fd, "w") as file:
            file.write("*\n")
    except OSError as error:
        raise from_os(error, home) from error


def make_app(folder: Path) -> None:
    """Make an app's folder and its home. Raises as `find_home` does."""
    check_file_system(folder)
    make_home(folder.parent)
    make_folder(folder)


def step_dir(folder: Path | None, uid: str, run_id: str, key: str) -> Path:
    """A step's folder in the store of that folder, made if missing.

    A store in memory, known by its `uid`, has them among the temporary files.
    """
    if folder is None:
        import tempfile

        root = Path(tempfile.gettempdir()) / f"nbflow-{uid}"
    else:
        root = folder / STEPS
    found = root / run_id / key
    found.mkdir(mode=0o700, parents=True, exist_ok=True)
    return found


def make_folder(folder: Path) -> None:
    """Make one folder with mode 0700, or check the one that is there."""
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        check_folder(folder)
    except OSError as error:
        raise from_os(error, folder) from error


def check_folder(folder: Path, *, owned: bool = True) -> None:
    """Refuse a folder through which somebody else could redirect our writing.

    Raises UnsafeStore for a symbolic link, another owner (unless `owned` is False) and
    one that all may write to; NotAStore for what is no folder or is missing.
    """
    try:
        found = folder.lstat()
    except FileNotFoundError:
        raise NotAStore(f"{folder}: no store is there") from None
    except OSError as error:
        raise unreadable(error, folder) from error
    if stat.S_ISLNK(found.st_mode):
        raise UnsafeStore(
            f"{folder}: is a symbolic link; a store's folder must be a folder itself "
            "(NBFLOW_HOME names another place)"
        )
    if not stat.S_ISDIR(found.st_mode):
        raise NotAStore(f"{folder}: is not a folder; move it away or set NBFLOW_HOME")
    if owned:
        _check_owner(folder, found)
    if found.st_mode & stat.S_IWOTH and not found.st_mode & stat.S_ISVTX:
        raise UnsafeStore(
            f"{folder}: everybody may write to it; a store's folder is its user's own "
            f"(chmod 700 {folder})"
        )


def check_file(path: Path, *, owned: bool = True) -> os.stat_result | None:
    """Refuse a file that is not plainly ours; None when it does not exist.

    Raises UnsafeStore for links, hard links, special files and another owner.
    """
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise unreadable(error, path) from error
    if stat.S_ISLNK(found.st_mode):
        raise UnsafeStore(f"{path}: is a symbolic link; put the file itself there")
    if not stat.S_ISREG(found.st_mode):
        raise UnsafeStore(f"{path}: is not a regular file; move it away")
    if found.st_nlink != 1:
        raise UnsafeStore(
            f"{path}: has {found.st_nlink} names (hard links); a store's file must "
            "have one, copy it instead"
        )
    if owned:
        _check_owner(path, found)
    return found


def check_file_system(folder: Path, mounts: str | None = None) -> None:
    """Refuse network file systems: their locks and shared memory lose data.

    `mounts` replaces the text of /proc/self/mountinfo. Raises UnsupportedFileSystem.
    """
    kind = file_system(folder, mounts)
    if kind in _NETWORK:
        raise UnsupportedFileSystem(
            f"{folder}: lies on a network file system ({kind}), whose locks a store "
            "cannot trust; set NBFLOW_HOME to a folder on a local disk"
        )


def file_system(folder: Path, mounts: str | None = None) -> str | None:
    """Type of the file system that holds the folder (or its nearest existing parent).

    None where the system does not tell, as anywhere but on Linux.
    """
    if mounts is None:
        try:
            mounts = Path("/proc/self/mountinfo").read_text(errors="surrogateescape")
        except OSError:
            return None
    wanted = os.path.realpath(folder)
    best, kind = -1, None
    for line in mounts.splitlines():
        fields, _, rest = line.partition(" - ")
        parts = fields.split(" ")
        if len(parts) < 5 or not rest:
            continue
        point = _unescape(parts[4])
        inside = wanted == point or wanted.startswith(point.rstrip("/") + "/")
        # Of two mounts on one point, the later hides the earlier.
        if inside and len(point) >= best:
            best, kind = len(point), rest.split(" ")[0]
    return kind


def _unescape(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), text)


def _has(folder: Path) -> bool:
    try:
        return _is_there(folder / STORE)
    except StoreError:
        return True


def _is_there(path: Path) -> bool:
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise unreadable(error, path) from error
    return True


def _usable(path: Path, create: bool) -> bool:
    try:
        found = path.lstat()
    except OSError:
        return False
    if not stat.S_ISDIR(found.st_mode):
        return False
    return not create or found.st_uid == _user(found)


def _check_owner(path: Path, found: os.stat_result) -> None:
    if found.st_uid != _user(found):
        raise UnsafeStore(
            f"{path}: belongs to user {found.st_uid}, not to this one "
            f"({_user(found)}); set NBFLOW_HOME to a folder of your own"
        )


def _user(found: os.stat_result) -> int:
    return os.geteuid() if hasattr(os, "geteuid") else found.st_uid
