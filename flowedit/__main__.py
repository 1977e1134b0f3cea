"""Run the command line as `python -m flowedit`."""

from flowedit.cli.main import main

if __name__ == "__main__":
    main()
