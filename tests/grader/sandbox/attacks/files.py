"""Attacks on files: read what is hidden, write what must last."""

from __future__ import annotations

import importlib
import os
from pathlib import Path

from attacks import Bait, any_of, attack

LANDLOCK = ("landlock",)


@attack()
def read_shadow(bait: Bait):
    return Path("/etc/shadow").read_text()


@attack(through_without=LANDLOCK)
def read_world_readable_passwd(bait: Bait):
    return Path("/etc/passwd").read_text()


@attack(through_without=LANDLOCK)
def read_hidden_tests(bait: Bait):
    return Path(bait.folder, "hidden.json").read_text()


@attack(through_without=LANDLOCK)
def read_solution_of_a_lab(bait: Bait):
    return any_of(*(path.read_text for path in Path(bait.application, "labs").glob("*")))


@attack(through_without=LANDLOCK)
def read_source_of_the_grader(bait: Bait):
    return Path(bait.application, "grader", "report.py").read_text()


@attack()
def import_the_judge(bait: Bait):
    for name in ("labs", "kernels", "grader.judge", "grader.course"):
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    return None


@attack(through_without=LANDLOCK)
def list_root(bait: Bait):
    return list(Path("/").iterdir())


@attack(through_without=LANDLOCK)
def list_tmp(bait: Bait):
    return list(Path("/tmp").iterdir())


@attack(through_without=LANDLOCK)
def write_to_tmp(bait: Bait):
    return Path("/tmp/planted-by-attack").write_text("x")


@attack(through_without=LANDLOCK)
def write_to_shared_memory(bait: Bait):
    return Path("/dev/shm/planted-by-attack").write_text("x")


@attack(through_without=LANDLOCK)
def write_beside_the_secret(bait: Bait):
    places = (Path(bait.folder, "planted"), Path("/var/tmp/planted-by-attack"))
    return any_of(*((lambda place=place: place.write_text("x")) for place in places))


@attack()
def write_to_packages(bait: Bait):
    import numpy

    places = (Path(numpy.__file__).parent / "planted.py", Path(bait.application, "grader", "report.py"))
    return any_of(*((lambda place=place: place.open("a")) for place in places))


@attack()
def symlink_to_the_secret(bait: Bait):
    Path("link").symlink_to(f"{bait.folder}/hidden.json")
    return Path("link").read_text()


@attack()
def hardlink_of_the_secret(bait: Bait):
    os.link(f"{bait.folder}/hidden.json", "link")
    return Path("link").read_text()


@attack(through_without=LANDLOCK)
def rename_of_the_secret(bait: Bait):
    Path(bait.folder, "victim").rename(f"{bait.folder}/taken")
    return True


@attack(through_without=LANDLOCK)
def traversal_through_proc(bait: Bait):
    here = f"/proc/self/task/{os.getpid()}"
    prefixes = ("/proc/self/root", "/proc/self/cwd/../..", "/proc/1/root", f"{here}/root", "../..")
    return any_of(*(Path(f"{prefix}{bait.folder}/hidden.json").read_text for prefix in prefixes))


@attack()
def truncate_of_the_secret(bait: Bait):
    os.truncate(f"{bait.folder}/victim", 0)
    return True


@attack(through_without=LANDLOCK)
def empty_by_opening(bait: Bait):
    os.close(os.open(f"{bait.folder}/victim", os.O_RDONLY | os.O_TRUNC))
    return True


@attack(through_without=("seccomp",))
def chmod_of_the_secret(bait: Bait):
    return any_of(
        lambda: Path(bait.folder, "victim").chmod(0o777),
        lambda: os.chown(f"{bait.folder}/victim", os.getuid(), os.getgid()),
        lambda: os.utime(f"{bait.folder}/victim"),
        lambda: os.setxattr(f"{bait.folder}/victim", "user.planted", b"x"),
    )


@attack(through_without=LANDLOCK)
def unlink_of_the_secret(bait: Bait):
    Path(bait.folder, "victim").unlink()
    return True


@attack()
def device_nodes(bait: Bait):
    import stat

    return any_of(
        lambda: os.mknod("null", stat.S_IFCHR | 0o666, os.makedev(1, 3)),
        lambda: os.mkfifo("fifo"),
        lambda: os.open("/dev/vda", os.O_RDONLY),
        lambda: os.open("/dev/nvidiactl", os.O_RDWR),
    )


@attack(varies=True)  # where scratch is no file system of its own, others of its user may look at what it holds
def write_own_memory_through_proc(bait: Bait):
    os.close(os.open("/proc/self/mem", os.O_RDWR))
    return True
