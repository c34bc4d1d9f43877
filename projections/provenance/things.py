"""The tables of things, as in PROV, and the field of each that has its id."""

THINGS = {"Entity": "entityId", "Activity": "activityId", "Agent": "agentId"}
