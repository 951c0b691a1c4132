"""`python -m plateid` is `plateid`."""

from plateid.commands.main import main

main(prog_name="plateid")
