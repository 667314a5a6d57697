# qfwatch - see `make help`
VERSION := 0.1.0

CC      ?= cc
BUILD   ?= build
PREFIX  ?= /usr/local
DESTDIR ?=
SYSCONFDIR ?= /etc
PKG_CONFIG ?= pkg-config

# CFLAGS and LDFLAGS are yours; what the code needs to be right is kept apart from them.
CFLAGS  ?= -O2 -g
LDFLAGS ?=
SANITIZE ?=

# make V=1 shows the commands.
V ?= 0
Q := $(if $(filter 0,$(V)),@)
say = $(if $(filter 0,$(V)),@printf '  %-4s %s\n' $(1) '$(2)')

HARDEN_CFLAGS := -fPIE -fstack-protector-strong -fstack-clash-protection -fcf-protection
ifeq ($(SANITIZE),)
HARDEN_CFLAGS += -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2
endif
# Each program is linked only to the libraries that it calls.
HARDEN_LDFLAGS := -pie -Wl,-z,relro,-z,now,--as-needed
# libinotifytools exports globals with everyday names: nothing of ours may be mistaken for one of them.
OWN_CFLAGS := -std=gnu17 -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
	-Wvla -Wformat=2 -fvisibility=hidden -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 \
	-DQFWATCH_VERSION='"$(VERSION)"' -Iinclude
# Asked for late, so that deps.sh has had its turn.
JANSSON_CFLAGS = $(shell $(PKG_CONFIG) --cflags jansson 2>/dev/null)
JANSSON_LIBS   = $(shell $(PKG_CONFIG) --libs jansson 2>/dev/null || echo -ljansson)
PCRE2_CFLAGS   = $(shell $(PKG_CONFIG) --cflags libpcre2-8 2>/dev/null)
PCRE2_LIBS     = $(shell $(PKG_CONFIG) --libs libpcre2-8 2>/dev/null || echo -lpcre2-8)
MHD_CFLAGS     = $(shell $(PKG_CONFIG) --cflags libmicrohttpd 2>/dev/null)
# libmicrohttpd and libcurl are loaded when they are needed (library.h), not linked.
CURL_CFLAGS    = $(shell $(PKG_CONFIG) --cflags libcurl 2>/dev/null)
CURSES_LIBS    = $(shell $(PKG_CONFIG) --libs ncursesw 2>/dev/null || echo -lncursesw -ltinfo)
CMOCKA_LIBS    = $(shell $(PKG_CONFIG) --libs cmocka 2>/dev/null || echo -lcmocka)

ALL_CFLAGS  = $(OWN_CFLAGS) $(HARDEN_CFLAGS) $(JANSSON_CFLAGS) $(PCRE2_CFLAGS) $(MHD_CFLAGS) $(CURL_CFLAGS) $(SANITIZE) $(CFLAGS)
ALL_LDFLAGS = $(HARDEN_LDFLAGS) $(SANITIZE) $(LDFLAGS)
LIBS        = -lpthread -linotifytools $(JANSSON_LIBS) $(PCRE2_LIBS) $(CURSES_LIBS)

LIB_SOURCES     := $(wildcard policy/*.c) $(filter-out watcher/main.c,$(wildcard watcher/*.c))
SUPPORT_SOURCES := $(wildcard tests/support/*.c)
UNIT_SOURCES    := $(wildcard tests/unit/test_*.c)
FUZZ_SOURCES    := $(wildcard tests/fuzz/fuzz_*.c)
BENCH_SOURCES   := $(wildcard tests/bench/bench_*.c)
TOOL_SOURCES    := $(wildcard tests/e2e/*.c contrib/demo/*.c)

LIB_OBJECTS     := $(LIB_SOURCES:%.c=$(BUILD)/%.o)
SUPPORT_OBJECTS := $(SUPPORT_SOURCES:%.c=$(BUILD)/%.o)
UNIT_TESTS      := $(UNIT_SOURCES:%.c=$(BUILD)/%)
BENCHES         := $(BENCH_SOURCES:%.c=$(BUILD)/%)
TOOLS           := $(TOOL_SOURCES:%.c=$(BUILD)/%)
FUZZERS         := $(FUZZ_SOURCES:%.c=$(BUILD)/%)

.PHONY: all help demo test unit e2e bench soak check-asan check-valgrind check-deps lint format fuzz install clean \
	deps-build deps-test programs
.DELETE_ON_ERROR:
.SECONDARY:

all: $(BUILD)/qfwatch ## the program, in build/qfwatch

help: ## this list
	@echo 'make TARGET, where TARGET is one of'
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r t d; do printf '  %-16s %s\n' "$$t" "$$d"; done
	@echo 'Variables: CC, CFLAGS, LDFLAGS, BUILD (build), PREFIX (/usr/local), SYSCONFDIR (/etc), DESTDIR, SCALE (100000, for bench)'

# ---- building -------------------------------------------------------------------------------------------------

$(BUILD)/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

# The page's files are built in.
PAGE_FILES := $(wildcard page/*.* page/script/*.js)
$(BUILD)/watcher/http_page.o $(BUILD)/fuzz/watcher/http_page.o: $(PAGE_FILES)

$(BUILD)/libqfwatch.a: $(LIB_OBJECTS)
	@rm -f $@
	$(call say,AR,$@)
	$(Q)ar rcs $@ $^

$(BUILD)/qfwatch: $(BUILD)/watcher/main.o $(BUILD)/libqfwatch.a
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS)

$(UNIT_TESTS): $(BUILD)/%: $(BUILD)/%.o $(SUPPORT_OBJECTS) $(BUILD)/libqfwatch.a
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS) $(CMOCKA_LIBS)

$(BENCHES) $(TOOLS): $(BUILD)/%: $(BUILD)/%.o $(SUPPORT_OBJECTS) $(BUILD)/libqfwatch.a
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS) -lpthread

programs: all $(UNIT_TESTS) $(TOOLS) $(BENCHES) # all that test needs, built

-include $(patsubst %.o,%.d,$(LIB_OBJECTS) $(SUPPORT_OBJECTS) $(BUILD)/watcher/main.o) \
	$(addsuffix .d,$(UNIT_TESTS) $(BENCHES) $(TOOLS))

# ---- packages -------------------------------------------------------------------------------------------------

deps-build:
	@contrib/deps.sh build

deps-test:
	@contrib/deps.sh test

# ---- running --------------------------------------------------------------------------------------------------
# demo and test bring their packages first and start make anew, so that what deps.sh installed is seen.

demo: deps-build ## 200 messages of a mail server that behaves like sendmail, moved before your eyes (about 15 s)
	@$(MAKE) --no-print-directory $(BUILD)/qfwatch $(BUILD)/contrib/demo/demo
	@$(BUILD)/contrib/demo/demo $(BUILD)/qfwatch policy.json.example

test: deps-test ## everything: unit tests, sanitizers, valgrind, fuzzers, a real sendmail
	@tests/run.sh all

unit: ## the unit tests alone
	@tests/run.sh unit

e2e: deps-test ## the tests with a real sendmail alone
	@tests/run.sh e2e

check-asan: ## the unit tests under AddressSanitizer and UndefinedBehaviorSanitizer
	@tests/run.sh asan

check-valgrind: ## the unit tests under valgrind
	@tests/run.sh valgrind

fuzz: ## the fuzzers, FUZZ_SECONDS each (30)
	@tests/run.sh fuzz

# What is fuzzed is compiled once for all fuzzers.
FUZZ_FLAGS = $(filter-out -fstack-clash-protection,$(OWN_CFLAGS)) $(JANSSON_CFLAGS) $(PCRE2_CFLAGS) $(MHD_CFLAGS) -O1 -g \
	-fno-sanitize-recover=all

$(BUILD)/fuzz/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)clang $(FUZZ_FLAGS) -fsanitize=fuzzer-no-link,address,undefined -MMD -MP -c -o $@ $<

$(BUILD)/fuzz/libqfwatch.a: $(LIB_SOURCES:%.c=$(BUILD)/fuzz/%.o)
	@rm -f $@
	$(Q)ar rcs $@ $^

$(FUZZERS): $(BUILD)/tests/fuzz/%: tests/fuzz/%.c $(BUILD)/fuzz/libqfwatch.a
	@mkdir -p $(@D)
	$(call say,FUZZ,$@)
	$(Q)clang $(FUZZ_FLAGS) -fsanitize=fuzzer,address,undefined -o $@ $< $(BUILD)/fuzz/libqfwatch.a $(LIBS)

fuzzers: $(FUZZERS)

bench: deps-build ## the numbers, each beside its bare system calls (SCALE=100000)
	@$(MAKE) --no-print-directory $(BUILD)/qfwatch $(BENCHES)
	@tests/bench/run.sh

soak: deps-build ## half an hour of churn: memory and descriptors stay flat, nothing is lost (SOAK_SECONDS=1800)
	@$(MAKE) --no-print-directory $(BUILD)/qfwatch $(TOOLS)
	@tests/soak.sh

check-deps: ## lower modules never include higher ones; each dangerous call has one home; INTERNALS.md names all files
	@tests/check-deps.sh

lint: check-deps ## compiler warnings of gcc and clang, cppcheck, clang-tidy where installed
	@tests/lint.sh

format: ## the C files in the project's layout
	clang-format -i $(shell git ls-files '*.c' '*.h')

# ---- installing -----------------------------------------------------------------------------------------------

# Examples and descriptions: share/qfwatch/ has them by the same names.
SHARED := policy/policy-1.schema.json contrib/events-1.schema.json contrib/openapi-1.json $(wildcard contrib/grafana/*) \
	$(filter-out %.test.yml,$(wildcard contrib/prometheus/*)) $(wildcard contrib/pipelines/*)

install: all ## into DESTDIR/PREFIX, the example policy into DESTDIR/SYSCONFDIR/qfwatch
	install -D -m 0755 $(BUILD)/qfwatch $(DESTDIR)$(PREFIX)/sbin/qfwatch
	install -D -m 0644 contrib/man/qfwatch.8 $(DESTDIR)$(PREFIX)/share/man/man8/qfwatch.8
	install -D -m 0644 contrib/man/qfwatch-policy.5 $(DESTDIR)$(PREFIX)/share/man/man5/qfwatch-policy.5
	install -D -m 0644 contrib/completions/qfwatch.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/qfwatch
	install -D -m 0644 policy.json.example $(DESTDIR)$(SYSCONFDIR)/qfwatch/policy.json.example
	for file in $(SHARED); do \
		install -D -m 0644 "$$file" "$(DESTDIR)$(PREFIX)/share/qfwatch/$${file#*/}" || exit; \
	done
	sed 's|@SBINDIR@|$(PREFIX)/sbin|' contrib/systemd/qfwatch.service.in >$(BUILD)/qfwatch.service
	install -D -m 0644 $(BUILD)/qfwatch.service $(DESTDIR)$(PREFIX)/lib/systemd/system/qfwatch.service

clean: ## remove build/
	rm -rf $(BUILD)
