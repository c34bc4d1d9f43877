"""Settings of PostgreSQL's planner for statements whose selectivity it cannot know."""

# For a few revisions out of very many: the planner cannot know how few a jsonb names, and would read them all.
BY_INDEX = "SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off"
AS_BEFORE = "SET LOCAL enable_hashjoin TO DEFAULT; SET LOCAL enable_mergejoin TO DEFAULT"
