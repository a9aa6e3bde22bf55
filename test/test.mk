# test.mk: unit programs, fuzzers and everything else that is not installed.
#
# Programs are built in build/FLAVOR: plain (links the very objects of the
# shared library), asan, coverage, fuzz.

BUILD = build
UNIT_TESTS = $(basename $(notdir $(wildcard test/unit/test_*.c)))
UNIT_SUPPORT = $(filter-out test/unit/test_%,$(wildcard test/unit/*.c))
FUZZERS = $(basename $(notdir $(wildcard test/fuzz/fuzz_*.c)))
LIBRARY_SOURCES = $(CORE_OBJS:.o=.c) $(PROVIDER_OBJS:.o=.c) \
	$(SERVE_OBJS:.o=.c)

FLAVORS = plain evp asan coverage fuzz
CC_fuzz = $(or $(FUZZ_CC),clang-14)
TEST_CFLAGS = -std=c11 -D_GNU_SOURCE $(LIBRARY_WARNINGS) $(INCLUDES) \
	-Itest/unit -DTEST_DIR='"test"'
CFLAGS_plain = -O2 -g
CFLAGS_evp = -O2 -g -DENVL_CIPHER_EVP
CFLAGS_asan = -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all \
	-fno-omit-frame-pointer
CFLAGS_coverage = -O0 -g --coverage
CFLAGS_fuzz = -O1 -g -fsanitize=fuzzer-no-link,address,undefined \
	-fno-sanitize-recover=undefined
LIBRARY_plain = $(CORE_OBJS) $(PROVIDER_OBJS) $(SERVE_OBJS)
LIBRARY_evp = $(LIBRARY_SOURCES:%.c=$(BUILD)/evp/%.o)
LIBRARY_asan = $(LIBRARY_SOURCES:%.c=$(BUILD)/asan/%.o)
LIBRARY_coverage = $(LIBRARY_SOURCES:%.c=$(BUILD)/coverage/%.o)
LIBRARY_fuzz = $(LIBRARY_SOURCES:%.c=$(BUILD)/fuzz/%.o)

# Tests and fuzzers of the program pgenvelope-kms: test_kms_NAME.c and
# fuzz_kms_NAME.c, linked with all of it but its main function.
KMS_SOURCES = $(filter-out %/kms_main.c,$(KMS_OBJS:.o=.c))
KMS_plain = $(KMS_SOURCES:.c=.o)
KMS_evp = $(KMS_SOURCES:%.c=$(BUILD)/evp/%.o)
KMS_asan = $(KMS_SOURCES:%.c=$(BUILD)/asan/%.o)
KMS_coverage = $(KMS_SOURCES:%.c=$(BUILD)/coverage/%.o)
KMS_fuzz = $(KMS_SOURCES:%.c=$(BUILD)/fuzz/%.o)
ifeq ($(KMS_BUILT),)
UNIT_TESTS := $(filter-out test_kms_%,$(UNIT_TESTS))
FUZZERS := $(filter-out fuzz_kms_%,$(FUZZERS))
endif

# The same for pgenvelope-pkcs11: test_pkcs11_NAME.c and fuzz_pkcs11_NAME.c.
PKCS11_SOURCES = $(filter-out %/pkcs11_main.c,$(PKCS11_OBJS:.o=.c))
PKCS11_plain = $(PKCS11_SOURCES:.c=.o)
PKCS11_evp = $(PKCS11_SOURCES:%.c=$(BUILD)/evp/%.o)
PKCS11_asan = $(PKCS11_SOURCES:%.c=$(BUILD)/asan/%.o)
PKCS11_coverage = $(PKCS11_SOURCES:%.c=$(BUILD)/coverage/%.o)
PKCS11_fuzz = $(PKCS11_SOURCES:%.c=$(BUILD)/fuzz/%.o)
ifeq ($(PKCS11_BUILT),)
UNIT_TESTS := $(filter-out test_pkcs11_%,$(UNIT_TESTS))
FUZZERS := $(filter-out fuzz_pkcs11_%,$(FUZZERS))
endif

# fuzz_server_NAME.c: parsers of the server that need no server, with what
# PostgreSQL has in libraries.
FUZZED_SERVER = $(filter %/pge_json.c %/pge_token.c,$(SERVER_OBJS:.o=.c))
FUZZED_SERVER_LIBS = $(addprefix $(shell $(PG_CONFIG) --pkglibdir)/, \
	libpgcommon.a libpgport.a)
SERVER_CFLAGS = -isystem $(dir $(PG_HEADER)) -Isrc/server \
	-Wno-unused-parameter -Wno-missing-field-initializers

# unit-FLAVOR: the unit programs; replay-FLAVOR: the fuzz targets with a main
# that runs files instead of libFuzzer's.
define rules_of_flavor
.SECONDARY:
.PHONY: unit-$(1) replay-$(1)
unit-$(1): $(UNIT_TESTS:%=$(BUILD)/$(1)/%)
replay-$(1): $(FUZZERS:fuzz_%=$(BUILD)/$(1)/replay_%)

$(BUILD)/$(1)/%.o: %.c Makefile test/test.mk
	@mkdir -p $$(@D)
	$$(or $$(CC_$(1)),$$(CC)) $$(TEST_CFLAGS) $$(CFLAGS_$(1)) -MMD -MP -c -o $$@ $$<

$(BUILD)/$(1)/src/server/%.o $(BUILD)/$(1)/test/fuzz/fuzz_server_%.o: \
		TEST_CFLAGS += $(SERVER_CFLAGS)

$(BUILD)/$(1)/test_%: $(BUILD)/$(1)/test/unit/test_%.o \
		$(UNIT_SUPPORT:%.c=$(BUILD)/$(1)/%.o) $(LIBRARY_$(1))
	$$(or $$(CC_$(1)),$$(CC)) $$(CFLAGS_$(1)) -o $$@ $$^ -lcrypto $$(BIND_NOW)

$(BUILD)/$(1)/test_kms_%: $(BUILD)/$(1)/test/unit/test_kms_%.o \
		$(UNIT_SUPPORT:%.c=$(BUILD)/$(1)/%.o) $(LIBRARY_$(1)) $(KMS_$(1))
	$$(or $$(CC_$(1)),$$(CC)) $$(CFLAGS_$(1)) -o $$@ $$^ $$(KMS_LIBS) \
		-lcrypto $$(BIND_NOW)

$(BUILD)/$(1)/test_pkcs11_%: $(BUILD)/$(1)/test/unit/test_pkcs11_%.o \
		$(UNIT_SUPPORT:%.c=$(BUILD)/$(1)/%.o) $(LIBRARY_$(1)) $(PKCS11_$(1))
	$$(or $$(CC_$(1)),$$(CC)) $$(CFLAGS_$(1)) -o $$@ $$^ $$(PKCS11_LIBS) \
		-lcrypto $$(BIND_NOW)

$(BUILD)/$(1)/replay_%: $(BUILD)/$(1)/test/fuzz/fuzz_%.o \
		$(BUILD)/$(1)/test/fuzz/replay.o $(LIBRARY_$(1))
	$$(or $$(CC_$(1)),$$(CC)) $$(CFLAGS_$(1)) -o $$@ $$^ -lcrypto

$(BUILD)/$(1)/replay_kms_%: $(BUILD)/$(1)/test/fuzz/fuzz_kms_%.o \
		$(BUILD)/$(1)/test/fuzz/replay.o $(LIBRARY_$(1)) $(KMS_$(1))
	$$(or $$(CC_$(1)),$$(CC)) $$(CFLAGS_$(1)) -o $$@ $$^ $$(KMS_LIBS) \
		-lcrypto

$(BUILD)/$(1)/replay_pkcs11_%: $(BUILD)/$(1)/test/fuzz/fuzz_pkcs11_%.o \
		$(BUILD)/$(1)/test/fuzz/replay.o $(LIBRARY_$(1)) $(PKCS11_$(1))
	$$(or $$(CC_$(1)),$$(CC)) $$(CFLAGS_$(1)) -o $$@ $$^ $$(PKCS11_LIBS) \
		-lcrypto

$(BUILD)/$(1)/replay_server_%: $(BUILD)/$(1)/test/fuzz/fuzz_server_%.o \
		$(BUILD)/$(1)/test/fuzz/replay.o $(LIBRARY_$(1)) \
		$(FUZZED_SERVER:%.c=$(BUILD)/$(1)/%.o)
	$$(or $$(CC_$(1)),$$(CC)) $$(CFLAGS_$(1)) -o $$@ $$^ \
		$$(FUZZED_SERVER_LIBS) -lcrypto
endef
$(foreach name,$(FLAVORS),$(eval $(call rules_of_flavor,$(name))))

$(BUILD)/fuzz/fuzz_%: $(BUILD)/fuzz/test/fuzz/fuzz_%.o $(LIBRARY_fuzz)
	$(CC_fuzz) $(CFLAGS_fuzz) -fsanitize=fuzzer -o $@ $^ -lcrypto

$(BUILD)/fuzz/fuzz_kms_%: $(BUILD)/fuzz/test/fuzz/fuzz_kms_%.o \
		$(LIBRARY_fuzz) $(KMS_fuzz)
	$(CC_fuzz) $(CFLAGS_fuzz) -fsanitize=fuzzer -o $@ $^ $(KMS_LIBS) -lcrypto

$(BUILD)/fuzz/fuzz_pkcs11_%: $(BUILD)/fuzz/test/fuzz/fuzz_pkcs11_%.o \
		$(LIBRARY_fuzz) $(PKCS11_fuzz)
	$(CC_fuzz) $(CFLAGS_fuzz) -fsanitize=fuzzer -o $@ $^ $(PKCS11_LIBS) -lcrypto

$(BUILD)/fuzz/fuzz_server_%: $(BUILD)/fuzz/test/fuzz/fuzz_server_%.o \
		$(LIBRARY_fuzz) $(FUZZED_SERVER:%.c=$(BUILD)/fuzz/%.o)
	$(CC_fuzz) $(CFLAGS_fuzz) -fsanitize=fuzzer -o $@ $^ \
		$(FUZZED_SERVER_LIBS) -lcrypto

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)

.PHONY: help test regress isolation test-asan test-providers test-all unit fuzz-replay fuzz fuzzers soak bench \
	bench-beside bench-bloat bench-rewrap lint format coverage quickstart quickstart-stop quickstart-remove

help:
	@echo 'make                builds the extension'
	@echo 'make install        installs it'
	@echo 'make quickstart     a private server with 10,000 encrypted customers,'
	@echo '                    whose key is rotated; DATA=file.csv takes your own'
	@echo 'make quickstart-stop    stops it'
	@echo 'make quickstart-remove  removes it with its key'
	@echo 'make test           sets up and runs every test'
	@echo 'make test SUITES="unit regress"  runs some of the suites'
	@echo 'make test-asan      the regression tests under ASan and UBSan'
	@echo 'make test-providers the providers against real key services, which it installs'
	@echo 'make test-all       make test and make test-providers, with one count'
	@echo 'make installcheck   the tests that need a running server, as PGXS does'
	@echo 'make unit           the unit tests of core and providers'
	@echo 'make fuzz           fuzzes each parser for FUZZ_SECONDS (60)'
	@echo 'make soak           the long forms: fuzzing, kills, many connections,'
	@echo '                    rotation; SOAK_SECONDS (600) a part of the first three'
	@echo 'make bench          compares speed with pgcrypto'
	@echo 'make bench-beside   pgbench beside a rewrap'
	@echo 'make bench-bloat    autovacuum beside a rewrap in place'
	@echo 'make bench-rewrap   compares the methods of rewrapping'
	@echo 'make coverage       branch coverage of src/core'
	@echo 'make lint           format, warnings, layering, documentation'
	@echo 'make format         formats the C sources'
	@echo 'make clean          removes what was built'

test:
	@test/setup/packages.sh build helpers server test lint
	@test/setup/run.sh $(SUITES)

test-asan:
	@test/setup/packages.sh build helpers server test
	@test/setup/run.sh asan-regress

test-providers:
	@test/setup/packages.sh build helpers server test providers
	@test/setup/run.sh providers

test-all:
	@test/setup/packages.sh build helpers server test lint providers
	@test/setup/run.sh all providers

unit fuzz-replay lint:
	@test/setup/run.sh $@

# Each of the two suites of PGXS's installcheck.
regress:
	@$(MAKE) --no-print-directory installcheck ISOLATION= TAP_TESTS=

isolation:
	@$(MAKE) --no-print-directory installcheck REGRESS= TAP_TESTS=

# What run.sh asks for.
print-%:
	@echo $($*)

fuzzers: $(FUZZERS:%=$(BUILD)/fuzz/%)

fuzz:
	@test/fuzz/fuzz.sh

soak:
	@test/soak/soak.sh

bench:
	@test/bench/bench.sh

bench-bloat:
	@test/bench/bloat.sh

bench-beside:
	@test/bench/beside.sh

bench-rewrap:
	@test/bench/rewrap.sh

coverage:
	@test/setup/coverage.sh

format:
	@test/lint/format.py $(wildcard src/*/*.[ch] src/*/*/*.[ch] \
		test/unit/*.[ch] test/fuzz/*.[ch] test/modules/*/*.[ch])

quickstart:
	@test/quickstart/quickstart.sh start

quickstart-stop:
	@test/quickstart/quickstart.sh stop

quickstart-remove:
	@test/quickstart/quickstart.sh remove
