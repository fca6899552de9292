"""The queue as it should be, in plain Python: what each step must answer, and what every run and thread is then.

It knows no Redis. `test_random_walks.py` and `test_interleavings.py` take the same steps on the scripts and on this,
and compare. Runs, threads and workers go by short names here; a token is (run, epoch), since that is all it says.
"""

import copy

from .line_model import LineModel, Standing
from .model_records import MAX_UNSETTLED, SUPERSEDING, TERMINAL, Choice, Refused, Run, Thread, Token, Worker


class QueueModel:
    """All threads, runs and workers."""

    def __init__(self, threads: list[str], workers: list[str], limit: int = 0) -> None:
        self.threads = {name: Thread() for name in threads}
        self.workers = {name: Worker() for name in workers}
        self.runs: dict[str, Run] = {}
        self.unlocked: set[str] = set()
        self.line = LineModel(limit)
        self.made = 0

    def copy(self) -> "QueueModel":
        return copy.deepcopy(self)

    def shown(self, thread: str) -> str:
        """The thread's status for clients."""
        found = self.threads[thread]
        return "busy" if found.active or found.waiting else found.status

    def token(self, run: str) -> Token | None:
        found = self.runs[run]
        return (run, found.epoch) if found.status == "running" else None

    # what clients ask
    def create(self, name: str, thread: str, strategy: str, choice: Choice | None = None) -> None:
        wish: Choice = choice or {}
        found = self.threads[thread]
        busy = bool(found.active or found.waiting)
        if busy and strategy == "reject":
            raise Refused("Conflict")
        if busy and strategy in SUPERSEDING:
            for old in [*found.waiting, *filter(None, [found.active])]:
                self._cancel(old, strategy)
        self.runs[name] = Run(thread, self._moment(int(wish.get("later", False))), (-99, 0))
        self.line.standing[name] = Standing(
            wish.get("queue", "runs"), 5 - wish.get("priority", 0), wish.get("tenant", "")
        )
        if not wish.get("later"):
            self.line.place(name)
        self._wait(name)

    def cancel(self, name: str, action: str) -> str:
        run = self.runs.get(name)
        answer = self._cancel(name, action) if run and not run.gone and run.cancel != "rollback" else ""
        if not answer:
            raise Refused("NotFound")
        return answer

    def _cancel(self, name: str, action: str) -> str:
        run = self.runs.get(name)  # a change of the state holds the active slot like a run, and is none
        if run is None or run.status in TERMINAL or run.cancel:
            return ""
        if run.status == "pending" and not run.wrote:
            self._end(name, "interrupted", gone=action == "rollback")
            return "ended"
        run.cancel = action
        if run.status == "pending":
            self.line.leave(name, self.moments)
            self.line.settle(name)
            run.not_before = (-99, 0)
        return "signalled"

    def pause(self, queue: str) -> None:
        self.line.paused.add(queue)

    def resume(self, queue: str) -> None:
        self.line.paused.discard(queue)

    # what workers do
    def claim(self, worker: str, room: int) -> list[Token]:
        """The tokens of the claimed runs, in their order; `room` is in the overflow queue, and in the others."""
        if self.workers[worker].lease != "held":
            raise Refused("Fenced")
        self._reap()
        claimed = self._claim(worker, room, ["overflow"])
        return claimed + self._claim(worker, room, [q for q in ("runs", "batch") if q not in self.line.paused])

    def _claim(self, worker: str, room: int, queues: list[str]) -> list[Token]:
        me, line = self.workers[worker], self.line
        claimed: list[Token] = []
        passed: set[str] = set()
        for queue in queues:
            for name in sorted(self.in_line(queue), key=lambda name: self.runs[name].due):
                if line.standing[name].round < 0:
                    line.place(name)
        taken = dict.fromkeys(queues, 0)
        while room and queues:
            queue = min(queues, key=lambda queue: taken[queue])
            name = line.first([name for name in self.in_line(queue) if name not in passed], self.moments)
            if not name:
                queues = [other for other in queues if other != queue]
                continue
            run = self.runs[name]
            if run.is_suspect and me.suspect in me.held:
                passed.add(name)
            elif line.blocks(name, settles=run.settles):
                line.park(name)
            else:
                if run.is_suspect:
                    me.suspect = name
                room -= 1
                taken[queue] += 1
                claimed.append(self._take(name, worker))
        return claimed

    def _take(self, name: str, worker: str) -> Token:
        run, thread, standing = self.runs[name], self.threads[self.runs[name].thread], self.line.standing[name]
        self.line.uncount(name, served=True)
        standing.slot = self.line.counts(name, settles=run.settles)
        bearer, standing.bearer = standing.bearer, False
        thread.waiting.remove(name)
        thread.active = name
        self.workers[worker].held.append(name)
        run.status, run.worker, run.epoch = "running", worker, run.epoch + 1
        run.attempt += not run.settles
        if bearer and self.line.held < self.line.limit:
            self.line.call(standing.queue, self.moments)
        return name, run.epoch

    @property
    def moments(self) -> dict[str, tuple[int, int]]:
        return {name: run.due for name, run in self.runs.items()}

    def heads(self) -> list[str]:
        """The first waiting run of each thread on which none is active."""
        return [thread.waiting[0] for thread in self.threads.values() if thread.waiting and not thread.active]

    def in_line(self, queue: str) -> list[str]:
        """Those of a queue that can be claimed now, as far as its limits are known."""
        standing = self.line.standing
        due = [name for name in self.heads() if self.runs[name].due[0] <= 0]
        return [name for name in due if standing[name].queue == queue and not standing[name].parked]

    def due(self) -> list[str]:
        """All that stand in a line, of queues that are not paused."""
        return [name for queue in ("overflow", "runs", "batch") if queue not in self.line.paused
                for name in self.in_line(queue)]  # fmt: skip

    def finish(self, token: Token, status: str, handled: str) -> str:
        name, epoch = token
        run = self.runs[name]
        if run.ended_by == epoch:
            return "ok"  # said again
        self._fence(token)
        if run.cancel and run.cancel != handled:
            return run.cancel
        self.threads[run.thread].status = "idle"
        self._end(name, status, gone=handled == "rollback")
        run.ended_by = epoch
        return "ok"

    def write(self, token: Token) -> None:
        self._fence(token)
        self.runs[token[0]].wrote = True

    def hand_back(self, token: Token, put_off: bool = False) -> None:
        self._fence(token)
        self._give_back(token[0], put_off=put_off)

    def release(self, worker: str, crashed: bool) -> None:
        """The worker is gone; one of the same name begins anew, and looks for others that are."""
        self._release(worker, crashed)
        self._reap()

    def _release(self, worker: str, crashed: bool) -> None:
        me = self.workers[worker]
        for name in list(me.held):
            if name not in self.runs:
                self.open(name)
            elif crashed:
                self._crash(name)
            else:
                self._give_back(name)
        self.workers[worker] = Worker()

    def expire(self, worker: str) -> None:
        if self.workers[worker].lease == "held":
            self.workers[worker].lease = "expired"

    def renew(self, worker: str) -> int:
        """A worker that comes back before somebody has missed it keeps its runs."""
        if self.workers[worker].lease == "none":
            return 0
        self.workers[worker].lease = "held"
        self._reap()
        return 1

    def _reap(self) -> None:
        """Take the runs of one worker whose lease is over."""
        for name, worker in self.workers.items():
            if worker.lease == "expired":
                self._release(name, crashed=True)
                self.workers[name].lease = "none"  # until it begins anew
                return

    def pass_an_hour(self) -> None:
        for run in self.runs.values():
            run.moment = (run.moment[0] - 1, run.moment[1])
            run.not_before = (run.not_before[0] - 1, run.not_before[1])

    # changes of a thread's state
    def lock(self, name: str, thread: str, worker: str) -> None:
        found = self.threads[thread]
        if self.workers[worker].lease == "none":
            raise Refused("Fenced")
        if found.active or found.waiting:
            raise Refused("Conflict")
        found.active = name
        self.workers[worker].held.append(name)

    def unlock(self, name: str) -> None:
        if not self.open(name) and name not in self.unlocked:
            raise Refused("Fenced")
        self.unlocked.add(name)

    def open(self, name: str) -> bool:
        """Take the lock away, whoever holds it; False if it is open already."""
        for thread in self.threads.values():
            if thread.active == name:
                thread.active = ""
                for worker in self.workers.values():
                    worker.held = [held for held in worker.held if held != name]
                return True
        return False

    # parts
    def _moment(self, hours: int) -> tuple[int, int]:
        self.made += 1
        return (hours, self.made)

    def _fence(self, token: Token) -> None:
        name, epoch = token
        if self.token(name) != (name, epoch):
            raise Refused("Fenced")

    def _wait(self, name: str) -> None:
        thread = self.threads[self.runs[name].thread]
        thread.waiting.append(name)
        thread.waiting.sort(key=lambda waiting: self.runs[waiting].moment)

    def _leave(self, name: str) -> None:
        run, thread = self.runs[name], self.threads[self.runs[name].thread]
        if name in thread.waiting:
            thread.waiting.remove(name)
        if thread.active == name:
            thread.active = ""
        if run.worker:
            self.workers[run.worker].held.remove(name)
        self.line.leave(name, self.moments)
        run.worker = ""
        run.epoch += 1

    def _end(self, name: str, status: str, *, gone: bool) -> None:
        self._leave(name)
        self.runs[name].status, self.runs[name].gone = status, gone

    def _give_back(self, name: str, *, put_off: bool = False) -> None:
        self.runs[name].attempt -= not self.runs[name].settles
        self._requeue(name, put_off=put_off)

    def _requeue(self, name: str, *, put_off: bool = False) -> None:
        self._leave(name)
        run = self.runs[name]
        run.status = "pending"
        if run.settles:
            self.line.settle(name)
        else:
            self.line.count(name)
        run.not_before = self._moment(1) if put_off else (-99, 0)
        self._wait(name)

    def _crash(self, name: str) -> None:
        run = self.runs[name]
        run.crash()
        if run.unsettled < MAX_UNSETTLED:
            self._requeue(name)
        elif run.cancel:
            self._end(name, "interrupted", gone=run.cancel == "rollback")
        else:
            self.threads[run.thread].status = "error"
            self._end(name, "error", gone=False)
