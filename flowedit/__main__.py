"""Run the command line as `python -m flowedit`."""

from flowedit.cli.main import program

if __name__ == "__main__":
    program()
