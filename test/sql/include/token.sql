\set ECHO none
-- Included by tests that bind sessions: tokens signed by the HS256 key of
-- test/setup/session.jwks.
CREATE FUNCTION pg_temp.base64url(bytes bytea) RETURNS text
LANGUAGE sql AS $$
    SELECT translate(encode(bytes, 'base64'), E'+/=\n', '-_')
$$;

-- HMAC-SHA-256 (RFC 2104) under a key of 64 bytes.
CREATE FUNCTION pg_temp.hmac(message bytea, key bytea) RETURNS bytea
LANGUAGE plpgsql AS $$
DECLARE
    inner_key bytea := key;
    outer_key bytea := key;
BEGIN
    FOR i IN 0..63 LOOP
        inner_key := set_byte(inner_key, i, get_byte(key, i) # 54);
        outer_key := set_byte(outer_key, i, get_byte(key, i) # 92);
    END LOOP;
    RETURN sha256(outer_key || sha256(inner_key || message));
END
$$;

CREATE FUNCTION pg_temp.token_of(claims bytea,
    header bytea DEFAULT '{"alg":"HS256","kid":"test-hs256"}') RETURNS text
LANGUAGE sql AS $$
    SELECT signed || '.' || pg_temp.base64url(pg_temp.hmac(
        convert_to(signed, 'UTF8'), pg_temp.decoded(
        'AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow')))
    FROM (SELECT pg_temp.base64url(header) || '.' ||
        pg_temp.base64url(claims)) AS t (signed)
$$;
CREATE FUNCTION pg_temp.token(claims text,
    header text DEFAULT '{"alg":"HS256","kid":"test-hs256"}') RETURNS text
LANGUAGE sql AS $$
    SELECT pg_temp.token_of(convert_to(claims, 'UTF8'), convert_to(header, 'UTF8'))
$$;

-- What comes of a token: the context, or what the client is told.
CREATE FUNCTION pg_temp.bound(token text) RETURNS text
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM env_bind_session(token);
    RAISE EXCEPTION USING ERRCODE = 'ZZ000',        -- and undone
        MESSAGE = current_setting('pgenvelope.session_context');
EXCEPTION
    WHEN SQLSTATE 'ZZ000' THEN
        RETURN SQLERRM;
    WHEN invalid_authorization_specification THEN
        RETURN SQLERRM;
END
$$;

-- Claims that are in order, and others in the place of some of them.
CREATE FUNCTION pg_temp.claims(ctx text, others jsonb DEFAULT '{}')
RETURNS text
LANGUAGE sql AS $$
    SELECT (jsonb_build_object(
        'exp', extract(epoch FROM clock_timestamp())::bigint + 300,
        'aud', current_database(), 'ctx', ctx::jsonb) || others)::text
$$;
\set ECHO all
