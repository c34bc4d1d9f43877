-- Roles. They belong to the whole server: another database's migration may have created them, or may be doing so now.
--   strandline_worker   owns every object; Strandline's own connections take this role
--   strandline_analyst  reads the read models that are not restricted
--   strandline_cleared  reads all read models and schema ledger
--   strandline_operator reads what `status` and `receipts` show, which holds no payload (0003_projection.sql)
--   strandline_auditor reads everything, and writes nothing: verification, proofs, the search for a person
DO $$
DECLARE
    role_name text;
BEGIN
    FOREACH role_name IN ARRAY ARRAY[
        'strandline_worker', 'strandline_analyst', 'strandline_cleared', 'strandline_operator', 'strandline_auditor'
    ] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role_name) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN', role_name);
            EXCEPTION WHEN duplicate_object OR unique_violation THEN
                NULL;
            END;
        END IF;
    END LOOP;

    -- For logins that are one of the reader roles: a member of one sets its own (docs/analysts.md).
    FOREACH role_name IN ARRAY ARRAY['strandline_analyst', 'strandline_cleared'] LOOP
        BEGIN
            EXECUTE format('ALTER ROLE %I IN DATABASE %I SET search_path = read', role_name, current_database());
        EXCEPTION WHEN insufficient_privilege THEN
            NULL;  -- another login created the role
        END;
    END LOOP;

    -- Strandline's own connections take the worker's role, so that it owns what they create.
    IF NOT pg_has_role(current_user, 'strandline_worker', 'USAGE') THEN
        EXECUTE format('GRANT strandline_worker TO %I', current_user);
    END IF;
    GRANT strandline_operator TO strandline_auditor;
    GRANT strandline_auditor TO strandline_worker;
    EXECUTE format('GRANT CONNECT, CREATE, TEMPORARY ON DATABASE %I TO strandline_worker', current_database());
    -- Nobody else is to connect. If the login does not own the database, PostgreSQL only warns that nothing was revoked.
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO strandline_analyst, strandline_cleared, strandline_operator, '
                   'strandline_auditor', current_database());
    EXECUTE format('REVOKE CONNECT, TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());

    -- Functions are for those to whom they are granted, and the auditor reads what the worker creates, partitions and
    -- generations included. The default is per role and database.
    EXECUTE 'ALTER DEFAULT PRIVILEGES FOR ROLE strandline_worker REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC';
    EXECUTE 'ALTER DEFAULT PRIVILEGES FOR ROLE strandline_worker GRANT SELECT ON TABLES TO strandline_auditor';
    EXECUTE 'ALTER DEFAULT PRIVILEGES FOR ROLE strandline_worker GRANT USAGE ON SCHEMAS TO strandline_auditor';
END $$;
