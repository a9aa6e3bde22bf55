-- A database of 0.1.0, as its pg_dump wrote it, with what is not dumped: two
-- requests that wait for a second person, and a job that waits for a worker.
-- The root key is root.key.
CREATE ROLE upgrade_alice LOGIN;
CREATE ROLE upgrade_bob LOGIN;
CREATE ROLE upgrade_reader LOGIN;

SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;

CREATE SCHEMA enc;

CREATE EXTENSION pgenvelope WITH SCHEMA enc VERSION '0.1.0';

CREATE VIEW public.is_ready AS
 SELECT enc.env_ready() AS ready;

CREATE TABLE public.patient (
    id bigint NOT NULL,
    diagnosis text,
    sealed enc.envelope
);

CREATE VIEW public.opened AS
 SELECT patient.id,
    enc.env_decrypt(patient.sealed, jsonb_build_object('id', patient.id)) AS diagnosis
   FROM public.patient;

COPY pgenvelope.audit_log (seq, at, act, key_id, key, version, detail, role, session_role, authenticated_role, client, trace_id, audit_key_id, audit_version, previous, mac) FROM stdin;
1	2026-12-01 04:06:10.973907+00	env_create_audit_key	182293934954977	audit	1	{"provider": "main", "grant_creator": "false"}	postgres	postgres	postgres	[local]	\N	182293934954977	1	\\x0000000000000000000000000000000000000000000000000000000000000000	\\xa5abd20c275d43e9a42fef70864e1f933aa64f5c1738ab86d083384e4e702347
2	2026-12-01 04:06:10.985662+00	env_create_key	103222140138336	app	1	{"provider": "main", "grant_creator": "true"}	postgres	postgres	postgres	[local]	\N	182293934954977	1	\\xa5abd20c275d43e9a42fef70864e1f933aa64f5c1738ab86d083384e4e702347	\\x7c81e387ef5974c24ea544e5906edcce47ee66cdb10fec193e842adc3c800b69
3	2026-12-01 04:06:10.992049+00	env_grant	103222140138336	app	\N	{"grantee": "upgrade_alice", "privilege": "admin"}	postgres	postgres	postgres	[local]	\N	182293934954977	1	\\x7c81e387ef5974c24ea544e5906edcce47ee66cdb10fec193e842adc3c800b69	\\x630f0c737890905b6ab7e41f18367084ca847b235a881d6d9fc9fb849b126462
4	2026-12-01 04:06:10.99244+00	env_grant	103222140138336	app	\N	{"grantee": "upgrade_bob", "privilege": "admin"}	postgres	postgres	postgres	[local]	\N	182293934954977	1	\\x630f0c737890905b6ab7e41f18367084ca847b235a881d6d9fc9fb849b126462	\\x404519f53db53830396bb47ad335c1254c49795a69a4a5a261509785c7f9c2d4
5	2026-12-01 04:06:10.993289+00	env_grant	103222140138336	app	\N	{"grantee": "upgrade_reader", "privilege": "decrypt", "limited_to": "id"}	postgres	postgres	postgres	[local]	\N	182293934954977	1	\\x404519f53db53830396bb47ad335c1254c49795a69a4a5a261509785c7f9c2d4	\\xbf71680ae6463a1beaf849acb64c8a535964252ea82d39cad5d9d6fa1ac072d2
6	2026-12-01 04:06:10.993989+00	env_limit	103222140138336	app	\N	{"action": "deny", "grantee": "upgrade_reader", "per_minute": "1000"}	postgres	postgres	postgres	[local]	\N	182293934954977	1	\\xbf71680ae6463a1beaf849acb64c8a535964252ea82d39cad5d9d6fa1ac072d2	\\x71f09dc61d37a43e7538197152a171046f54f104ec1a121db9c3703d3875c11d
7	2026-12-01 04:06:11.001603+00	env_rotate_key	103222140138336	app	2	{}	postgres	postgres	postgres	[local]	\N	182293934954977	1	\\x71f09dc61d37a43e7538197152a171046f54f104ec1a121db9c3703d3875c11d	\\x0d04fcb948ba388e094288d7011e40b0a99b3f757c4c632fec65b9d3b00c5c21
8	2026-12-01 04:06:11.006447+00	env_honey	103222140138336	app	\N	{}	postgres	postgres	postgres	[local]	\N	182293934954977	1	\\x0d04fcb948ba388e094288d7011e40b0a99b3f757c4c632fec65b9d3b00c5c21	\\x531a26333143c55f7811744261a7bd528808dbae1314aeec39c7012d6ba1fdbe
9	2026-12-01 04:06:11.011679+00	env_rewrap_method	\N	\N	\N	{"table": "patient", "method": "inplace"}	postgres	postgres	postgres	[local]	\N	182293934954977	1	\\x531a26333143c55f7811744261a7bd528808dbae1314aeec39c7012d6ba1fdbe	\\x3b3e9af3fb17259dfe0e9dd40c19839784a225802d470a77c6923cc3b0f72104
10	2026-12-01 04:06:11.012302+00	env_require_approval	103222140138336	app	\N	{"required": "true"}	postgres	postgres	postgres	[local]	\N	182293934954977	1	\\x3b3e9af3fb17259dfe0e9dd40c19839784a225802d470a77c6923cc3b0f72104	\\x99524a7bf09c992cf31532ee92c2d80454582272bd63875fd81f519d25be820a
11	2026-12-01 04:06:11.025909+00	request	103222140138336	app	\N	{"state": "pending", "request": "1", "operation": "env_grant"}	upgrade_alice	upgrade_alice	upgrade_alice	[local]	\N	182293934954977	1	\\x99524a7bf09c992cf31532ee92c2d80454582272bd63875fd81f519d25be820a	\\xc89291619dcd2f268cb5d4f5aa71cdd6225fbf82c0dafd6887fc52ae8ca97251
12	2026-12-01 04:06:11.06193+00	request	103222140138336	app	\N	{"state": "pending", "request": "2", "operation": "env_retire_key"}	upgrade_alice	upgrade_alice	upgrade_alice	[local]	\N	182293934954977	1	\\xc89291619dcd2f268cb5d4f5aa71cdd6225fbf82c0dafd6887fc52ae8ca97251	\\x8d4efacfe05a2b68b4861d43cd8032b23dfd72e0e228801de6ce3c05f4aa098a
\.

COPY pgenvelope.key (key_id, name, required_context, created_at, created_by, rotate_every, purpose, dual_control) FROM stdin;
182293934954977	audit	{}	2026-12-01 04:06:10.966784+00	postgres	\N	audit	f
103222140138336	app	{"id": null}	2026-12-01 04:06:10.983483+00	postgres	\N	data	t
\.

COPY pgenvelope.honey (key_id, mark, lock_grant, note, created_at, created_by) FROM stdin;
103222140138336	\\x1d0485bc1907776d3afe5264b1e06428e89600df9eb75a6dd17af4d7b1cc953d	f	mumps	2026-12-01 04:06:11.005819+00	postgres
\.

COPY pgenvelope.key_version (key_id, version, state, provider, sealed_kek, kcv, root_key, created_at, activated_at, deactivated_at, retired_at, destroyed_at, canary_percent) FROM stdin;
182293934954977	1	active	main	\\x65794a68624763694f694a6b615849694c434a6c626d4d694f694a424d6a553252304e4e4969776961326c6b496a6f695958566b615852415954566a596a6c6b4d324e6b4f5755784c7a456966512e2e586e4e2d46504a4646485a754652646a2e6276553435756a4f6a337875435a465839755f78427549656a4c5568584849417a5f61693576706b6362346966677877594b456b44685a3955494c49666d67692e376167386859575045475737494a4f41437739495667	\\x32034996eae3e019c4c8c4b3ac5936c7	5f56c83c2e3d0c14	2026-12-01 04:06:10.966784+00	2026-12-01 04:06:10.972855+00	\N	\N	\N	\N
103222140138336	1	deactivated	main	\\x65794a68624763694f694a6b615849694c434a6c626d4d694f694a424d6a553252304e4e4969776961326c6b496a6f69595842775144566b5a5445304e6d5a6c5a6a4d324d433878496e302e2e4d465146666a4e53414d4c4d6c4337482e423938465476566a6c4d6c424f784868377a4a49485433774c53495844766648506152735f505f4c6468696b514251467a4a6c36784961626271475a31646c562e426e486459502d382d73543375725075787557394b51	\\x4e30bd6a68fe83c6d46622cc07b3b543	5f56c83c2e3d0c14	2026-12-01 04:06:10.983483+00	2026-12-01 04:06:10.984339+00	2026-12-01 04:06:11.000597+00	\N	\N	\N
103222140138336	2	active	main	\\x65794a68624763694f694a6b615849694c434a6c626d4d694f694a424d6a553252304e4e4969776961326c6b496a6f69595842775144566b5a5445304e6d5a6c5a6a4d324d433879496e302e2e73576271655968695966657a325f70482e47672d7342335f47726a4f73663947487055656867773546586a7166725775736a4c5848665653724545387164566249766c6f4f4a41676a514638774c486a492e5f61704a543657586c5a62772d503363445155755277	\\x4bfa6e34f163e2e0a7ceccdbf95c4dce	5f56c83c2e3d0c14	2026-12-01 04:06:10.999571+00	2026-12-01 04:06:11.000886+00	\N	\N	\N	\N
\.

COPY pgenvelope.key_grant (grant_id, key_id, privilege, grantee, context, definer, granted_at, granted_by, per_minute, per_transaction, limit_action, locked_at) FROM stdin;
861629583756708366	182293934954977	admin	postgres	\N	t	2026-12-01 04:06:10.966784+00	postgres	\N	\N	\N	\N
3271284694832011014	103222140138336	admin	postgres	\N	t	2026-12-01 04:06:10.983483+00	postgres	\N	\N	\N	\N
-6365847912923032217	103222140138336	encrypt	postgres	\N	t	2026-12-01 04:06:10.983483+00	postgres	\N	\N	\N	\N
-1772921885976100410	103222140138336	decrypt	postgres	\N	t	2026-12-01 04:06:10.983483+00	postgres	\N	\N	\N	\N
2397633719191108889	103222140138336	audit	postgres	\N	t	2026-12-01 04:06:10.983483+00	postgres	\N	\N	\N	\N
-1474393726313421258	103222140138336	admin	upgrade_alice	\N	t	2026-12-01 04:06:10.990689+00	postgres	\N	\N	\N	\N
2961193601711159281	103222140138336	admin	upgrade_bob	\N	t	2026-12-01 04:06:10.990689+00	postgres	\N	\N	\N	\N
6946500148208467405	103222140138336	decrypt	upgrade_reader	{"id": 1}	t	2026-12-01 04:06:10.992809+00	postgres	1000	\N	deny	\N
\.

COPY pgenvelope.rewrap_table (relation, method, contexts) FROM stdin;
public.patient	inplace	{}
\.

COPY public.patient (id, diagnosis, sealed) FROM stdin;
1	\N	env1.4RIAAV3hRv7zYNzIg7zgYkRh6bXyH_lZ2wgygX3pDGVJloLGr6ATbWyB2LIHmBJQPuAKnZM2-07dfalINgXosjvCAgnfDHmOtyNk0nyWLQhuv0r9QA
2	\N	env1.4RIAAV3hRv7zYHEl0Fbq3192Ch4vlVWY7-UirE9c7gdK_sJfV9GhW4yRSMdiDHA_GT0ORbqUnpAfEPmbYsUOIA09oypk_gokE2YDqlmvF2KDPlA
3	\N	env1.4RIAAl3hRv7zYG8eJIUv0ej4R8n1CstT0LDePiNHHLpOxc9Zlk43c2jH-CWoNAKzz-kU3SUs0STjdx6nr0-ap2fc5yHHkM5a3NqSuqSBt0mGRiwFfA
\.

SELECT pg_catalog.setval('pgenvelope.request_request_id_seq', 2, true);

ALTER TABLE ONLY public.patient
    ADD CONSTRAINT patient_pkey PRIMARY KEY (id);

CREATE TRIGGER encrypt BEFORE INSERT OR UPDATE ON public.patient FOR EACH ROW EXECUTE FUNCTION enc.env_encrypt_column('diagnosis', 'sealed', '@key:app', 'id=id');

GRANT USAGE ON SCHEMA enc TO PUBLIC;

GRANT ALL ON FUNCTION enc.env_approve(request bigint) TO upgrade_alice;
GRANT ALL ON FUNCTION enc.env_approve(request bigint) TO upgrade_bob;

GRANT ALL ON FUNCTION enc.env_audit_verify(OUT seq bigint, OUT finding text, OUT ok boolean, OUT detail text) TO upgrade_alice;
GRANT ALL ON FUNCTION enc.env_audit_verify(OUT seq bigint, OUT finding text, OUT ok boolean, OUT detail text) TO upgrade_bob;

GRANT ALL ON FUNCTION enc.env_grant(key text, privilege text, role regrole, context jsonb, definer boolean) TO upgrade_alice;
GRANT ALL ON FUNCTION enc.env_grant(key text, privilege text, role regrole, context jsonb, definer boolean) TO upgrade_bob;

GRANT ALL ON FUNCTION enc.env_reject(request bigint, reason text) TO upgrade_alice;
GRANT ALL ON FUNCTION enc.env_reject(request bigint, reason text) TO upgrade_bob;

GRANT ALL ON FUNCTION enc.env_require_approval(key text, required boolean) TO upgrade_alice;
GRANT ALL ON FUNCTION enc.env_require_approval(key text, required boolean) TO upgrade_bob;

GRANT ALL ON FUNCTION enc.env_retire_key(name text, version integer, force boolean) TO upgrade_alice;
GRANT ALL ON FUNCTION enc.env_retire_key(name text, version integer, force boolean) TO upgrade_bob;

GRANT ALL ON FUNCTION enc.env_rotate_key(name text, canary_percent integer, rewrap boolean) TO upgrade_alice;
GRANT ALL ON FUNCTION enc.env_rotate_key(name text, canary_percent integer, rewrap boolean) TO upgrade_bob;

RESET search_path;
INSERT INTO pgenvelope.request OVERRIDING SYSTEM VALUE
SELECT (jsonb_populate_record(NULL::pgenvelope.request, '{"state": "pending", "key_id": 103222140138336, "arguments": {"key": "app", "role": "upgrade_bob", "context": {"id": 3}, "definer": true, "privilege": "decrypt"}, "operation": "env_grant", "request_id": 1, "requested_at": "2026-12-01T04:06:11.02509+00:00", "requested_by": "upgrade_alice", "requested_login": "upgrade_alice", "requested_session": "upgrade_alice"}'::jsonb || jsonb_build_object(
    'requester', 'upgrade_alice'::regrole::oid,
    'requester_session', 'upgrade_alice'::regrole::oid,
    'requester_login', 'upgrade_alice'::regrole::oid,
    'subject', jsonb_build_object('role', 'upgrade_bob'::regrole::oid::bigint),
    'expires_at', now() + '1 day'))).*;
INSERT INTO pgenvelope.request OVERRIDING SYSTEM VALUE
SELECT (jsonb_populate_record(NULL::pgenvelope.request, '{"state": "pending", "key_id": 103222140138336, "subject": {"versions": [[1, "deactivated", 1796097970.984339, 1796097971.000597, null]]}, "arguments": {"name": "app", "force": true, "version": 1}, "operation": "env_retire_key", "request_id": 2, "requested_at": "2026-12-01T04:06:11.061795+00:00", "requested_by": "upgrade_alice", "requested_login": "upgrade_alice", "requested_session": "upgrade_alice"}'::jsonb || jsonb_build_object(
    'requester', 'upgrade_alice'::regrole::oid,
    'requester_session', 'upgrade_alice'::regrole::oid,
    'requester_login', 'upgrade_alice'::regrole::oid,
    'expires_at', now() + '1 day'))).*;
INSERT INTO pgenvelope.rewrap_job OVERRIDING SYSTEM VALUE
SELECT (jsonb_populate_record(NULL::pgenvelope.rewrap_job, '{"kind": "rewrap", "pass": 1, "state": "waiting", "job_id": 1, "key_id": 103222140138336, "created_at": "2026-12-01T04:06:10.999571+00:00", "created_by": "postgres", "not_before": "-infinity", "target_version": 2}')).*;
SELECT pg_catalog.setval('pgenvelope.rewrap_job_job_id_seq', 1);
