# pgenvelope: field-level envelope encryption for PostgreSQL
#
# "make help" lists the targets.  This file loads where PostgreSQL's build
# files (PGXS) are not installed, so that "make quickstart" and "make test"
# can install them.

EXTENSION = pgenvelope
EXTVERSION := $(shell sed -n "s/^default_version = '\(.*\)'/\1/p" pgenvelope.control)
MODULE_big = pgenvelope
PGFILEDESC = "pgenvelope - field-level envelope encryption"

CORE_OBJS = $(addprefix src/core/, \
	envl_audit.o envl_bytes.o envl_cipher.o envl_claims.o envl_context.o envl_format.o \
	envl_json.o envl_jwe.o envl_jws.o envl_key.o envl_random.o \
	envl_secret.o envl_status.o envl_string.o envl_suite.o envl_value.o \
	envl_wrap.o)
PROVIDER_OBJS = $(addprefix src/providers/, \
	prov_file.o prov_helper.o prov_jwe.o prov_local.o prov_process.o \
	prov_root.o prov_secret.o prov_uri.o)
SERVER_OBJS = $(addprefix src/server/, \
	pgenvelope.o pge_act.o pge_activity.o pge_alert.o \
	pge_alert_worker.o pge_anchor.o pge_approval.o pge_arguments.o \
	pge_audit.o pge_audit_log.o pge_audit_seen.o pge_audit_verify.o \
	pge_batch.o pge_budget.o pge_cache.o pge_call.o pge_catalog.o \
	pge_census.o pge_check.o pge_commit.o pge_context.o pge_databases.o \
	pge_destroy.o pge_dual_control.o pge_encoding.o pge_entitlement.o \
	pge_escrow.o pge_failure.o pge_guard.o pge_guc.o pge_health.o \
	pge_health_catalog.o pge_honey.o pge_honey_sql.o pge_inplace.o \
	pge_inplace_guard.o pge_job.o pge_keeper.o pge_kek.o pge_keys.o \
	pge_launcher.o pge_learn.o pge_limit.o pge_limit_sql.o pge_line.o \
	pge_lint.o pge_lock.o pge_look.o pge_member.o pge_mention.o \
	pge_pace.o pge_page.o pge_pattern.o pge_person.o pge_places.o \
	pge_privilege.o pge_proof.o pge_provider_stat.o pge_ready.o \
	pge_redact.o pge_reencrypt.o pge_replace.o pge_replay.o \
	pge_report.o pge_request.o pge_reseal.o pge_retire.o pge_rewrap.o \
	pge_rewrap_sql.o pge_rewrap_table.o pge_rights.o pge_rotate.o \
	pge_row.o pge_schedule.o pge_secret.o pge_session.o \
	pge_session_context.o pge_shared.o pge_slot.o pge_stat.o \
	pge_statistics.o pge_step.o pge_subject.o pge_tally.o pge_target.o \
	pge_trigger.o pge_try.o pge_type.o pge_update.o pge_update_write.o \
	pge_use.o pge_value.o pge_value_sql.o pge_version.o \
	pge_why.o pge_work.o pge_worker.o pge_write.o)
OBJS = $(CORE_OBJS) $(PROVIDER_OBJS) $(SERVER_OBJS)

# Programs that the server runs for the providers of their schemes.  SERVE_OBJS
# is what they share; what a program needs of the library's own objects is
# linked from there.
SERVE_OBJS = $(addprefix src/providers/, \
	prov_by_hand.o prov_line.o prov_serve.o)
KMS_OBJS = $(addprefix src/providers/, \
	kms_main.o prov_aws.o prov_aws_call.o prov_aws_credentials.o \
	prov_aws_metadata.o prov_aws_sts.o prov_azure.o prov_azure_call.o \
	prov_azure_credentials.o prov_cloud.o prov_crc32c.o prov_curl.o \
	prov_form.o prov_gcp.o prov_gcp_call.o prov_gcp_credentials.o \
	prov_http.o prov_json.o prov_jwt.o prov_memory.o prov_oauth.o \
	prov_profile.o prov_time.o prov_vault.o prov_vault_call.o \
	prov_vault_login.o prov_vault_token.o prov_xml.o)
KMS_LIBS = -lcurl -ljansson
PKCS11_OBJS = $(addprefix src/providers/, \
	pkcs11_main.o prov_pkcs11.o prov_pkcs11_crypt.o prov_pkcs11_error.o \
	prov_pkcs11_format.o prov_pkcs11_key.o prov_pkcs11_pin.o \
	prov_pkcs11_rsa.o prov_pkcs11_token.o prov_pkcs11_uri.o)
PKCS11_LIBS = -ldl
HELPER_OBJS = $(SERVE_OBJS) $(KMS_OBJS) $(PKCS11_OBJS)
HELPER_BASE = $(CORE_OBJS) $(addprefix src/providers/, \
	prov_root.o prov_secret.o prov_uri.o)

# The install script, by subject: each part may use what is before it.
SQL_PARTS = sql/pgenvelope.sql $(addprefix sql/parts/, \
	rights.sql session.sql approval.sql audit.sql limits.sql statistics.sql \
	lint.sql)
DATA_built = sql/pgenvelope--$(EXTVERSION).sql
DATA = $(wildcard sql/pgenvelope--*--*.sql)

# Tests: test/sql/NAME.sql and test/specs/NAME.spec with expected/NAME.out,
# so no two of them share a name.
REGRESS = catalog type equality storage reseal approval keys key_states \
	key_transactions key_life canary retire destroy rights entitlement \
	guard context encrypt tamper reencrypt rewrap update_method inplace \
	trigger trigger_arguments use parallel maintenance inspect jwe \
	vectors encodings settings stat many_keys session injection \
	sec_inspect sec_catalog sec_trigger places census rewrap_job \
	rewrap_failure lint limits honey
ISOLATION = create_key grant privileges rotate life evict drop_extension \
	rewrap_update rewrap_locks proof administration approve
REGRESS_OPTS = --inputdir=test $(EXTRA_REGRESS_OPTS)
ISOLATION_OPTS = --inputdir=test --outputdir=. $(EXTRA_ISOLATION_OPTS)
TAP_TESTS = 1
PROVE_TESTS = test/t/*.pl

# A value costs about a microsecond, of which calls between files were a tenth.
# The objects hold ordinary code too: the unit programs link them as they are.
ifeq ($(findstring clang,$(CC))$(COPT)$(SANITIZE),)
LTO = -flto=auto -ffat-lto-objects
endif

PG_CFLAGS = $(LTO)
PG_CPPFLAGS = -DPGENVELOPE_VERSION='"$(EXTVERSION)"' -MMD -MP

# Functions are bound at load: at a first call the dynamic linker would save
# the registers on the stack, with what libcrypto left of a key in them.
BIND_NOW = -Wl,-z,now
SHLIB_LINK = $(SANITIZE) -lcrypto $(BIND_NOW) \
	-Wl,--version-script=src/pgenvelope.map

# Not every compiler and linker does so by itself.
PROGRAM_LINK = -pie -Wl,-z,relro -Wl,-z,noexecstack $(BIND_NOW)
EXTRA_CLEAN = build $(HELPER_OBJS) pgenvelope-kms pgenvelope-pkcs11 src/*/*.d \
	results output_iso regression.diffs regression.out

# Bitcode would let the server inline our functions into a query.  They are
# calls into libcrypto, where nothing is gained, and building it needs clang.
override with_llvm = no

# The newest PostgreSQL under Debian's path, else whatever is in PATH.
ifeq ($(origin PG_CONFIG), undefined)
PG_CONFIG := $(or $(lastword $(sort \
	$(wildcard /usr/lib/postgresql/*/bin/pg_config))),pg_config)
endif
PGXS := $(shell $(PG_CONFIG) --pgxs 2>/dev/null)
PG_HEADER := $(shell $(PG_CONFIG) --includedir-server 2>/dev/null)/postgres.h

.DEFAULT_GOAL := all

# Each helper program is built where its libraries' headers are found.
HASH := \#
has_headers = $(shell printf '$(HASH)include <%s>\n' $(1) | \
	$(CC) $(CPPFLAGS) -E - >/dev/null 2>&1 && echo yes)
KMS_BUILT := $(if $(call has_headers,curl/curl.h jansson.h),pgenvelope-kms)
PKCS11_BUILT := $(if $(call has_headers,p11-kit-1/p11-kit/pkcs11.h),pgenvelope-pkcs11)
HELPERS = $(KMS_BUILT) $(PKCS11_BUILT)

ifneq ($(and $(wildcard $(PGXS)),$(wildcard $(PG_HEADER))),)
include $(PGXS)
else
all install installcheck:
	@echo "PostgreSQL's server development files were not found" \
		"(PG_CONFIG=$(PG_CONFIG))." >&2
	@echo "On Debian, as root: test/setup/packages.sh build" >&2
	@exit 1
clean:
	rm -f $(OBJS) $(DATA_built) pgenvelope.so
	rm -rf $(EXTRA_CLEAN)
endif

# The core and the providers are not PostgreSQL's: they are compiled without
# its include path, so that a wrong #include is a build error.
LIBRARY_WARNINGS = -Wall -Wextra -Wmissing-prototypes -Wstrict-prototypes \
	-Wshadow -Wvla -Wdeclaration-after-statement
LIBRARY_CFLAGS = -std=c11 -D_GNU_SOURCE -O2 -g -fPIC -fvisibility=hidden \
	-fstack-protector-strong -D_FORTIFY_SOURCE=2 $(LIBRARY_WARNINGS)

$(CORE_OBJS) $(PROVIDER_OBJS) $(HELPER_OBJS): %.o: %.c Makefile
	$(CC) $(LIBRARY_CFLAGS) $(LTO) $(COPT) -MMD -MP -c -o $@ $<

$(SERVER_OBJS): Makefile pgenvelope.control
pgenvelope.so: src/pgenvelope.map

sql/pgenvelope--$(EXTVERSION).sql: $(SQL_PARTS) pgenvelope.control
	cat $(SQL_PARTS) >$@

all: $(HELPERS)
install: install-helpers
uninstall: uninstall-helpers

.PHONY: install-helpers uninstall-helpers
install-helpers: $(HELPERS)
ifneq ($(strip $(HELPERS)),)
	$(MKDIR_P) '$(DESTDIR)$(pkglibdir)'
	$(INSTALL_PROGRAM) $(HELPERS) '$(DESTDIR)$(pkglibdir)/'
endif
ifeq ($(KMS_BUILT),)
	@echo "pgenvelope-kms is left out: it needs libcurl and jansson"
endif
ifeq ($(PKCS11_BUILT),)
	@echo "pgenvelope-pkcs11 is left out: it needs p11-kit's headers"
endif

uninstall-helpers:
	rm -f '$(DESTDIR)$(pkglibdir)/pgenvelope-kms' \
		'$(DESTDIR)$(pkglibdir)/pgenvelope-pkcs11'

pgenvelope-kms: $(KMS_OBJS) $(SERVE_OBJS) $(HELPER_BASE)
	@test -n '$(KMS_BUILT)' || { \
		echo "The headers of libcurl and jansson were not found." >&2; \
		echo "On Debian, as root: test/setup/packages.sh helpers" >&2; \
		exit 1; }
	$(CC) $(LTO) $(COPT) $(SANITIZE) -o $@ $^ $(KMS_LIBS) -lcrypto $(PROGRAM_LINK)

pgenvelope-pkcs11: $(PKCS11_OBJS) $(SERVE_OBJS) $(HELPER_BASE) \
		src/providers/prov_process.o
	@test -n '$(PKCS11_BUILT)' || { \
		echo "The headers of p11-kit were not found." >&2; \
		echo "On Debian, as root: test/setup/packages.sh helpers" >&2; \
		exit 1; }
	$(CC) $(LTO) $(COPT) $(SANITIZE) -o $@ $^ $(PKCS11_LIBS) -lcrypto $(PROGRAM_LINK)

-include $(OBJS:.o=.d) $(HELPER_OBJS:.o=.d)
include test/test.mk
