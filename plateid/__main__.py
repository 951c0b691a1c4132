"""`python -m plateid` is `plateid`."""

from plateid.cli import main

main(prog_name="plateid")
