"""What `spark-submit` runs: `python -m analytics`, as a file that it can open."""

from analytics.__main__ import app
from runtime import command

if __name__ == "__main__":
    command.run(app, name="analytics")
