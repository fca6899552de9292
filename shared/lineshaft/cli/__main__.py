"""`python -m lineshaft.cli` is the same as `lineshaft`."""

from . import main

main(prog_name="lineshaft")
