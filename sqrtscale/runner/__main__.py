"""``python -m sqrtscale.runner ID``: supervise one calibration that is in the store; ``--schedule LOCK``: be the scheduler."""

import sys

from ..store import NotFound, Store, StoreError
from . import election, scheduler
from .patience import Patience, patient
from .supervisor import Supervisor


def main(arguments: list[str]) -> int:
    """Exit code 0: the calibration ended; 1: it has, or had, another supervisor; 2: bad input."""
    if len(arguments) == 2 and arguments[0] == election.SCHEDULE and arguments[1].isdecimal():
        return scheduler.schedule(int(arguments[1]))
    if len(arguments) != 1:
        print("usage: python -m sqrtscale.runner ID", file=sys.stderr)
        return 2
    try:
        patience = Patience()
        store = patient(patience.insist(lambda: Store.open(tries=1)), patience)
        store.get(arguments[0])
    except (NotFound, StoreError) as error:
        print(error, file=sys.stderr)
        return 2
    return Supervisor(store, arguments[0]).run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
