# The front door. Everything real is in CMakePresets.json, CMakeLists.txt and scripts/.
#
#   make            the release, into build/        make test      all quick tests (installs what it needs)
#   make deps       what building needs             make demo      a real program on Ration (the same)
#   make install PREFIX=/usr/local                  make help      the rest
BUILD := build
PREFIX ?= /usr/local
JOBS ?= $(shell nproc)
FUZZ_SECONDS ?= 30

.PHONY: all deps demo test bench fuzz lint format install test-programs test-limits test-sanitizers test-clang test-cross test-musl \
        test-arm64 coverage clean help

all: $(BUILD)/build.ninja
	@cmake --build $(BUILD) -j $(JOBS)

$(BUILD)/build.ninja:
	@for tool in cmake ninja cc; do command -v $$tool >/dev/null || { echo "$$tool is missing: make deps" >&2; exit 1; }; done
	@cmake --preset release -DRN_BUILD_TESTS=OFF

deps:
	@scripts/install-deps build

demo:
	@scripts/install-deps build demo
	@$(MAKE) --no-print-directory all
	@scripts/demo $(BUILD)

test:
	@scripts/install-deps build test
	@cmake --preset release -DRN_BUILD_TESTS=ON >/dev/null
	@$(MAKE) --no-print-directory all
	@scripts/run-tests $(BUILD) -L quick

bench:
	@scripts/install-deps build bench
	@$(MAKE) --no-print-directory all
	@bench/run $(BUILD)

test-programs:
	@scripts/install-deps build programs
	@$(MAKE) --no-print-directory all
	@tests/programs/run --library $(abspath $(BUILD))/lib/libration-preload.so

test-limits:
	@scripts/install-deps build test programs limits
	@cmake --preset release -DRN_BUILD_TESTS=ON >/dev/null
	@$(MAKE) --no-print-directory all
	@scripts/run-tests $(BUILD) -L limits

# A build of its own for each: scripts/test-preset PRESET [arguments of ctest].
test-sanitizers:
	@scripts/install-deps build test check
	@scripts/test-preset asan
	@scripts/test-preset tsan

test-clang:
	@scripts/install-deps build test check
	@scripts/test-preset clang -L quick

test-musl:
	@scripts/install-deps build test check
	@scripts/test-preset musl -L quick

test-arm64:
	@scripts/install-deps build test check
	@for size in 4096 16384 65536; do QEMU_PAGESIZE=$$size scripts/test-preset arm64 -L quick || exit 1; done

test-cross: test-musl test-arm64

fuzz:
	@scripts/install-deps build check
	@scripts/fuzz $(FUZZ_SECONDS)

lint:
	@scripts/install-deps build check
	@scripts/lint

format:
	@scripts/sources | xargs clang-format -i

coverage:
	@scripts/install-deps build test check
	@scripts/coverage

install: all
	@cmake --install $(BUILD) --prefix $(abspath $(PREFIX))

clean:
	@rm -rf $(BUILD)

help:
	@echo "make                   the release, into $(BUILD)/"
	@echo "make deps              install what building needs (packages.list)"
	@echo "make demo              a real program on libc's malloc and on Ration"
	@echo "make test              the quick tests, at most five minutes"
	@echo "make bench             the suite against other allocators"
	@echo "make test-programs     real programs on Ration, their output compared"
	@echo "make test-limits       programs that press against a limit, and what a limit costs"
	@echo "make test-sanitizers   AddressSanitizer, UndefinedBehaviorSanitizer, ThreadSanitizer"
	@echo "make test-clang        built with clang"
	@echo "make test-cross        static on musl; arm64 with pages of 4, 16 and 64 KiB"
	@echo "make fuzz              each fuzz target for FUZZ_SECONDS=$(FUZZ_SECONDS)"
	@echo "make lint              format, clang-tidy, cppcheck, shellcheck, man pages, floors"
	@echo "make format            put the sources into the house's format"
	@echo "make coverage          which lines the tests reach"
	@echo "make install PREFIX=   command, libraries, headers, man pages"
	@echo "make clean             remove $(BUILD)/"
