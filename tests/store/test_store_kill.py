"""A writer killed at random moments: nothing is ever unreadable or wrong, little is lost, and in
the end the folder has the bytes of an undisturbed run."""

import os
import subprocess
import sys
from pathlib import Path

from stored import contents, plan_of, write

ROOT = Path(__file__).parents[2]

# One process forks a writer again and again, which kills itself before a system call that is drawn
# at random (of one that writes, half may be done): starting Python each time takes longer.
KILLER = """
import os, random, shutil, sys
from pathlib import Path
import numpy as np
import store, store.writer
from killed import EVER, die_before
from stored import encode, plan_of

folder, kills, grown = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "grown"
store.writer.SECONDS_BETWEEN_SYNCS = 0.0
os.fsync = lambda _: None  # the power stays on
BATCH, BLOCK = 10, 16
old = [*range(300)]
plan = plan_of([*range(150, 200), *range(400, 700), *range(100), 7, 7] if grown else old)

def work(say):
    writer = store.FeatureWriter(folder, plan, shard=100, block=BLOCK)
    for low in range(0, len(writer.todo), BATCH):
        rows = writer.todo[low : low + BATCH]
        writer.put(rows, encode(plan.id[rows]))
        os.write(say, rows.astype("<i8").tobytes())
    writer.finish()

# Which rows a writer, killed before that call or amid it, reported as put; all its calls
def attempt(call, halves=False):
    hear, say = os.pipe()
    child = os.fork()
    if not child:
        try:
            made = die_before(call, halves=halves)
            work(say)
            os.write(say, b"finished %d" % made())
        finally:
            os._exit(0)
    os.close(say)
    with os.fdopen(hear, "rb") as file:
        put, _, calls = file.read().partition(b"finished")
    os.waitpid(child, 0)
    return np.frombuffer(put, "<i8"), int(calls or 0)

def look():  # whatever is there can be read and is right, or is refused
    try:
        found = store.Features(folder)
    except store.StoreError as error:
        assert "\\n" not in str(error)
        return False
    vectors = found.block(0, len(found))
    assert np.array_equal(vectors, encode(found.id).astype(np.float16))
    return True

def todo():
    writer = store.FeatureWriter(folder, plan, shard=100, block=BLOCK)
    rows = writer.todo
    writer.close()
    return rows

def begin():  # what is to do when nothing of the plan was done
    shutil.rmtree(folder, ignore_errors=True)
    if grown:
        shutil.copytree(kept, folder)
        assert len(found := todo()) == 300  # nothing known is asked for again
        return found
    return np.arange(len(plan.id))

kept = folder.with_name("kept")
if grown:
    shutil.copytree(folder, kept)
before = begin()
calls = attempt(EVER)[1]
before = begin()
dice, stopped, readable, resumed = random.Random(sys.argv[3]), 0, 0, 0
while stopped < kills:
    # Later ones go on where others stopped
    put, finished = attempt(dice.randrange(calls // 2), dice.random() < 0.5)
    if finished:
        resumed += 1
        before = begin()
        continue
    stopped += 1
    readable += look()
    left = todo()
    assert not set(left) - set(before)  # what was stored once stays stored
    lost = np.intersect1d(left, put)
    assert len(lost) <= 2 * BLOCK + BATCH, (len(lost), lost)
    before = left
with store.FeatureWriter(folder, plan, shard=100, block=BLOCK) as writer:
    if len(writer.todo):
        writer.put(writer.todo, encode(plan.id[writer.todo]))
    writer.finish()
assert look()
assert resumed
print(stopped, readable, resumed, calls)
"""


# The same, but each run dies just before one system call, and each run before the next one; of a
# call that writes, half is done.
AT_EACH_CALL = """
import os, shutil, signal, sys
from pathlib import Path
import numpy as np
import store, store.writer
from stored import contents, encode, plan_of, write

store.writer.SECONDS_BETWEEN_SYNCS = 0.0
os.fsync = lambda _: None  # it is counted below; the power stays on
folder, old, wanted = Path(sys.argv[1]), plan_of(range(50)), plan_of([*range(20, 70), 3, 3])
write(folder / "old", old, 30)
write(folder / "new", wanted, 30)
undisturbed = contents(folder / "new")
NAMES = ("pwrite", "ftruncate", "posix_fallocate", "fsync", "replace", "unlink")

def die_at(last):
    count = 0
    def guarded(name, call):
        def run(*arguments, **more):
            nonlocal count
            count += 1
            if count > last:
                if name == "pwrite":
                    call(arguments[0], arguments[1][: len(arguments[1]) // 2], arguments[2])
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*arguments, **more)
        return run
    for name in NAMES:
        if hasattr(os, name):
            setattr(os, name, guarded(name, getattr(os, name)))

calls, mixed = 0, 0
while True:
    shutil.rmtree(folder / "s", ignore_errors=True)
    shutil.copytree(folder / "old", folder / "s")
    child = os.fork()
    if not child:
        die_at(calls)
        write(folder / "s", wanted, 30)
        os._exit(0)
    if os.waitpid(child, 0)[1] == 0:
        break
    calls += 1
    try:
        found = store.Features(folder / "s")
        vectors = found.block(0, len(found))
        assert np.array_equal(vectors, encode(found.id).astype(np.float16))
    except store.StoreError as error:
        assert "\\n" not in str(error)
        assert "features.h5" in str(error) or "shard-" in str(error)
        mixed += 1
    assert write(folder / "s", wanted, 30) <= 20
    assert contents(folder / "s") == undisturbed
assert contents(folder / "s") == undisturbed
assert mixed  # shards of the new plan under the features.h5 of the old: refused
print(calls, mixed)
"""


def run(script: str, *arguments: str) -> None:
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    ran = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env={**os.environ, "PYTHONPATH": paths, "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    print(ran.stdout)


def test_thirty_kills_end_with_the_bytes_of_an_undisturbed_run(tmp_path: Path):
    run(KILLER, str(tmp_path / "killed"), "30", "new")
    write(tmp_path / "undisturbed", plan_of(range(300)), shard=100, block=16)
    assert contents(tmp_path / "killed") == contents(tmp_path / "undisturbed")


def test_kills_while_a_store_changes_lose_no_vector_it_had(tmp_path: Path):
    write(tmp_path / "killed", plan_of(range(300)), shard=100, block=16)
    run(KILLER, str(tmp_path / "killed"), "30", "grown")
    wanted = plan_of([*range(150, 200), *range(400, 700), *range(100), 7, 7])
    write(tmp_path / "undisturbed", wanted, shard=100, block=16)
    assert contents(tmp_path / "killed") == contents(tmp_path / "undisturbed")


def test_a_kill_before_any_system_call_or_amid_a_write_is_made_good(tmp_path: Path):
    run(AT_EACH_CALL, str(tmp_path))
