"""``python -m cider``, for launchers of several processes: ``torchrun ... -m cider train sample``."""

from cider.commands import main

if __name__ == "__main__":
    main(prog_name="cider")
