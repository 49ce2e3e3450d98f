"""Which threads and tasks are the user's, and may change values while no cell runs."""

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.pool import ThreadPool

from ipysession.record.others import OthersWatch


def watch(source=""):
    """A notebook's namespace after ``source`` ran in it, watched from before."""
    namespace = {"__name__": "__main__", "threading": threading, "time": time}
    namespace["done"] = threading.Event()
    others = OthersWatch(namespace)
    exec(source, namespace)
    return others, namespace


def test_a_thread_that_a_cell_started_counts_until_it_ends():
    """Also one that runs nothing of the notebook's own, such as a library's method."""
    others, namespace = watch("t = threading.Thread(target=done.wait)\nt.start()")
    assert others.run()
    namespace["done"].set()
    namespace["t"].join()
    assert not others.run()


def test_a_timer_counts_before_it_fires():
    """It will run the user's function."""
    others, namespace = watch("t = threading.Timer(60, print)\nt.start()")
    assert others.run()
    namespace["t"].cancel()
    namespace["t"].join()
    assert not others.run()


class Monitor(threading.Thread):
    """A library's own thread, as tqdm has one; it calls what it was given."""

    def __init__(self, call):
        super().__init__(daemon=True)
        self.call = call

    def run(self):
        """As a thread."""
        self.call()


def test_a_librarys_thread_counts_only_while_it_runs_the_users_code():
    """The monitor of a progress bar would otherwise link every later step to every value."""
    others, namespace = watch("def wait():\n    done.wait()")
    assert Monitor.__module__ not in ("threading", "__main__")
    idle = threading.Event()
    Monitor(idle.wait).start()
    assert not others.run()
    busy = Monitor(namespace["wait"])
    busy.start()
    deadline = time.monotonic() + 30
    while not others.run():  # until it is in the function
        assert time.monotonic() < deadline
        time.sleep(0.001)
    namespace["done"].set()
    busy.join()
    assert not others.run()
    idle.set()


def test_a_pool_that_waits_for_work_does_not_count():
    """Its workers live on when their work is done."""
    others, namespace = watch("def work():\n    started.set()\n    done.wait()")
    namespace["started"] = threading.Event()
    with ThreadPoolExecutor(1) as pool, ThreadPool(1) as other:
        assert pool.submit(int).result() == other.apply(int) == 0
        assert not others.run()
        future = pool.submit(namespace["work"])
        assert namespace["started"].wait(30)
        assert others.run()
        namespace["done"].set()
        future.result(30)


def test_tasks_that_cells_made_count_until_they_end():
    """Those of the kernel itself do not."""
    others, namespace = watch("import asyncio\nasync def tick():\n    await asyncio.sleep(60)")

    async def kernel():
        others.loop = asyncio.get_running_loop()
        assert not others.run()
        task = asyncio.create_task(namespace["tick"]())
        await asyncio.sleep(0)
        assert others.run()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert not others.run()

    asyncio.run(kernel())
