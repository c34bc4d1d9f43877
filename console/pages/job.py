"""One job, as it goes."""

from strandline.console import jobs
from strandline.console.page import Asked, Missing, Page


def job(asked: Asked) -> Page:
    text = asked.path["number"]
    with asked.console.status() as connection:
        found = jobs.read_job(connection, int(text)) if text.isdecimal() and len(text) < 18 else None
    if found is None:
        raise Missing("There is no job of this number.")
    data = found.as_dict()
    return Page("job.html", data, {"job": found, "document": found.arguments.get("document")})
