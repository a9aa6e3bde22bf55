# pgenvelope: field-level envelope encryption for PostgreSQL
#
# "make help" lists the targets.  This file loads where PostgreSQL's build
# files (PGXS) are not installed, so that "make quickstart" and "make test"
# can install them.

EXTENSION = pgenvelope
EXTVERSION := $(shell sed -n "s/^default_version = '\(.*\)'/\1/p" pgenvelope.control)
MODULE_big = pgenvelope
PGFILEDESC = "pgenvelope - field-level envelope encryption"

# The sources by folder: src/README.md shows what each holds and what it may use.
objects_of = $(patsubst %.c,%.o,$(sort $(wildcard $(addsuffix /*.c,$(1)))))
SERVER_FOLDERS = $(addprefix src/server/,base redact context catalog keys \
	rights audit value admin rewrite rewrap lifecycle watch workers)
CORE_OBJS = $(call objects_of,src/core)
PROVIDER_BASE = $(call objects_of,src/providers)
PROVIDER_OBJS = $(PROVIDER_BASE) $(call objects_of,src/providers/local)
SERVER_OBJS = $(call objects_of,src/server $(SERVER_FOLDERS))
OBJS = $(CORE_OBJS) $(PROVIDER_OBJS) $(SERVER_OBJS)

# Programs that the server runs for the providers of their schemes.  SERVE_OBJS
# is what they share; what a program needs of the library's own objects is
# linked from there.
SERVE_OBJS = $(call objects_of,src/providers/serve)
KMS_OBJS = $(call objects_of,$(addprefix src/providers/,kms http vault aws gcp \
	azure))
KMS_LIBS = -lcurl -ljansson
PKCS11_OBJS = $(call objects_of,src/providers/pkcs11)
PKCS11_LIBS = -ldl
HELPER_OBJS = $(SERVE_OBJS) $(KMS_OBJS) $(PKCS11_OBJS)
HELPER_BASE = $(CORE_OBJS) $(PROVIDER_BASE)

# The install script, by subject: each part may use what is before it.  (Not in
# sql/ itself, where pg_regress would look for its tests.)
SQL_PARTS = $(addprefix sql/parts/,type.sql keys.sql values.sql rights.sql \
	approval.sql audit.sql rewrap.sql guard.sql views.sql lint.sql)
DATA_built = sql/pgenvelope--$(EXTVERSION).sql
# Upgrade scripts, and the install scripts of earlier versions.
DATA = $(filter-out $(DATA_built),$(wildcard sql/pgenvelope--*.sql))

# Tests: test/sql/NAME.sql and test/specs/NAME.spec with expected/NAME.out,
# so no two of them share a name.
REGRESS = catalog type equality storage reseal approval keys key_states \
	key_transactions key_life canary retire destroy rights entitlement \
	guard context encrypt tamper reencrypt rewrap update_method inplace \
	trigger trigger_arguments use parallel maintenance inspect jwe \
	vectors encodings settings stat many_keys session token injection \
	sec_inspect sec_catalog sec_trigger planted default_schema places census rewrap_job \
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

# With EVP_ONLY=1 ciphers are called through EVP alone (envl_cipher.c says what
# that costs), as a validated module's policy may ask for.
ifeq ($(EVP_ONLY),1)
LIBRARY_DEFINES = -DENVL_CIPHER_EVP
endif

PG_CFLAGS = $(LTO)
INCLUDES = -Isrc -Isrc/core -Isrc/server
PG_CPPFLAGS = $(INCLUDES) -DPGENVELOPE_VERSION='"$(EXTVERSION)"' -MMD -MP

# Functions are bound at load: at a first call the dynamic linker would save
# the registers on the stack, with what libcrypto left of a key in them.
BIND_NOW = -Wl,-z,now
SHLIB_LINK = $(SANITIZE) -lcrypto $(BIND_NOW) \
	-Wl,--version-script=src/pgenvelope.map

# Not every compiler and linker does so by itself.
PROGRAM_LINK = -pie -Wl,-z,relro -Wl,-z,noexecstack $(BIND_NOW)
EXTRA_CLEAN = build $(HELPER_OBJS) pgenvelope-kms pgenvelope-pkcs11 $(OBJS:.o=.d) $(HELPER_OBJS:.o=.d) \
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
	$(CC) $(LIBRARY_CFLAGS) $(LIBRARY_DEFINES) $(INCLUDES) $(LTO) $(COPT) -MMD -MP -c -o $@ $<

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
		src/providers/local/prov_process.o
	@test -n '$(PKCS11_BUILT)' || { \
		echo "The headers of p11-kit were not found." >&2; \
		echo "On Debian, as root: test/setup/packages.sh helpers" >&2; \
		exit 1; }
	$(CC) $(LTO) $(COPT) $(SANITIZE) -o $@ $^ $(PKCS11_LIBS) -lcrypto $(PROGRAM_LINK)

-include $(OBJS:.o=.d) $(HELPER_OBJS:.o=.d)
include test/test.mk
