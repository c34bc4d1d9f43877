"""The command `migrate`."""

from strandline.cli.options import AsJson
from strandline.cli.output import say, show_json


def migrate(as_json: AsJson = False) -> int:
    """Bring the database's schema up to date."""
    from strandline.consumer.database.connection import open_database
    from strandline.consumer.database.migrate import migrate
    from strandline.consumer.settings import load_settings

    with open_database(load_settings()) as url:
        applied = migrate(url)
    if as_json:
        show_json({"applied": applied})
    elif applied:
        say(f"Applied {', '.join(applied)}.")
    else:
        say("The schema is up to date.")
    return 0
