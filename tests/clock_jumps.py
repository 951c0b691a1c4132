"""Sets the system clock again and again: `python -m tests.clock_jumps --jumps 100 --seed 1`.

It runs `plateid run` with live cameras, whose vehicles pass or stop. The clock jumps every few
seconds. The script prints one line, and exits with 1 if a vehicle is published twice or not at all.
"""

import argparse
import random
import sys
import time
from contextlib import ExitStack

from tests.degraded import START_S, Scene, traffic
from tests.support.faked_clock import JUMPS, FakedClock

PAUSE_S = 3.0
"""Mean time between two jumps, seconds."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jumps", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--offsets", nargs="+", default=JUMPS, help="from the true time")
    options = parser.parse_args()
    chance = random.Random(options.seed)
    vehicles = traffic(options.jumps * PAUSE_S, options.seed)
    with ExitStack() as stack:
        scene = Scene(vehicles, stack)
        clock = FakedClock(scene.folder)
        with scene.service(clock.environment):
            time.sleep(max(0.0, START_S - scene.now))
            for _ in range(options.jumps):
                clock.jump(chance.choice(options.offsets))
                time.sleep(PAUSE_S * chance.uniform(0.2, 1.8))
            scene.wait_for_the_last()
        verdict = scene.verdict()
    sys.stdout.write(f"{options.jumps} jumps  {verdict}\n")
    sys.exit(verdict.missed + verdict.twice > 0)


if __name__ == "__main__":
    main()
