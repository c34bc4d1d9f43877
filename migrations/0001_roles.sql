-- Roles belong to the whole server, so another database's migration may have made them already, or do so right now.
DO $$
DECLARE
    role_name text;
BEGIN
    FOREACH role_name IN ARRAY ARRAY['strandline_worker', 'strandline_analyst', 'strandline_cleared'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role_name) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN', role_name);
            EXCEPTION WHEN duplicate_object OR unique_violation THEN
                NULL;
            END;
        END IF;
    END LOOP;

    -- Strandline's own connections take the worker's role, so that whatever they make belongs to it.
    IF NOT pg_has_role(current_user, 'strandline_worker', 'USAGE') THEN
        EXECUTE format('GRANT strandline_worker TO %I', current_user);
    END IF;
    EXECUTE format('GRANT CREATE, TEMPORARY ON DATABASE %I TO strandline_worker', current_database());
END $$;
