# make demo               from a fresh clone to an optimization that survives kill -9
# make test               every test there is; ends with "N passed, N failed"
# make test ONLY=NAME     some: a Python test or file (test_...), or a filter of Swift tests
# make test-generated     clients made from openapi.yaml, in every language that is tried: minutes
# make torture            crash states, failing calls and bit flips by the thousand: about two hours
# make test-fast          those that take less than two minutes; installs nothing
# make lint               the form of the sources
# make fuzz               libFuzzer on the decoders; SECONDS=60 each
# make sanitize           the tests with the thread sanitizer and with the address sanitizer
# make docs               the site: tutorials, how-to's, reference, explanation, into out/docs/site
# make docs-engine        the LBFGS library's documentation, into out/docs
# make wheel              the Python client with the engine inside, into out/wheel
# make sdist              the Python client's source distribution, into out/wheel
# make deb                packages for Debian 12, into out/deb: about 15 minutes the first time
# make test-packages      what these packages do on a machine: needs root, a quarter of an hour
# make hooks              has git check what is staged before each commit
#
# They install the Debian packages that are missing, with apt-get (and sudo unless root).

PREFIX = /usr
SYSCONFDIR = /etc
DESTDIR =
# The binary that `install` installs; made when it isn't there. It carries the Swift runtime within,
# so the machine that runs it needs no toolchain.
BINARY = .build-install/release/lbfgsd
# The C library that `install-library` installs; likewise.
LIBRARY = $(dir $(BINARY))liblbfgsd-engine.so
LIBDIR = $(PREFIX)/lib
# A wheel goes to other machines, so its engine runs on any of this architecture. WHEEL_CPU=x86-64-v3
# is faster, and has the same bits.
WHEEL_CPU =
WHEEL_LIBRARY = .build-wheel/release/liblbfgsd-engine.so
WHEEL_DIR = out/wheel
PYTHON = python3
INCLUDEDIR = $(PREFIX)/include

UNITDIR = $(PREFIX)/lib/systemd/system
DOCDIR = $(PREFIX)/share/doc/lbfgsd
# What the engine is compiled for: this machine, but for a binary that goes elsewhere by DESTDIR,
# which runs on any of its architecture unless INSTALL_CPU says otherwise (x86-64-v3: servers since
# 2013 or so).
CPU = $(shell deploy/setup.sh cpu)
INSTALL_CPU = $(if $(DESTDIR),,$(CPU))
# Warnings are errors by each target's settings; this adds imports of targets that are not declared.
SWIFT_BUILD = swift build --explicit-target-dependency-import-check error

.PHONY: build demo run test test-fast test-generated torture bench format lint fuzz sanitize docs \
	docs-engine hooks setup install install-library uninstall wheel sdist deb package-binaries \
	test-packages clean

build: setup
	LBFGSD_CPU=$(CPU) $(SWIFT_BUILD) -c release --product lbfgsd

# The Python packages are installed while the compiler works.
demo: setup
	deploy/setup.sh demo-python & python=$$!; $(MAKE) build && wait $$python
	PATH="$(CURDIR)/.venv/bin:$$PATH" LBFGSD_BIN="$(CURDIR)/.build/release/lbfgsd" demo/run.sh

# ARGS="--listen 127.0.0.1:9000 ..."
run: build
	.build/release/lbfgsd serve $(ARGS)

# ONLY: see Tests/one.sh.
test:
	$(if $(ONLY),Tests/one.sh '$(ONLY)',Tests/run.sh)

# LBFGSD_BIN names another daemon.
test-generated: $(if $(LBFGSD_BIN),,build)
	Tests/generated/run.sh

test-fast:
	Tests/fast.sh

# SEED=7 repeats a run.
torture: build .venv/complete
	Tests/torture/long.sh $(SEED)

bench: build .venv/complete
	deploy/setup.sh packages liblbfgs-dev
	deploy/setup.sh torch
	LBFGSD_CPU=$(CPU) PATH="$(CURDIR)/.venv/bin:$$PATH" LBFGSD_BIN="$(CURDIR)/.build/release/lbfgsd" \
		Benchmarks/run.sh

format:
	swift format --in-place --recursive Package.swift Sources Tests

lint:
	Tests/lint.sh

# Needs the daemon, whose help and metrics are pages.
docs: build
	deploy/setup.sh docs
	.venv/bin/python docs/site/build.py

docs-engine:
	Tests/docs-engine.sh

fuzz: setup
	Tests/fuzz/run.sh $(or $(SECONDS),60)

# SANITIZER: thread, address, daemon (the Python tests); ONLY: a filter of its tests.
sanitize: setup .venv/complete
	Tests/sanitize/run.sh '$(or $(SANITIZER),all)' '$(ONLY)'

hooks:
	git config core.hooksPath .githooks

setup:
	deploy/setup.sh packages
	deploy/setup.sh page

.venv/complete: Tests/requirements.txt demo/requirements.txt deploy/setup.sh
	deploy/setup.sh python

$(BINARY): | setup
	LBFGSD_CPU=$(INSTALL_CPU) $(SWIFT_BUILD) -c release --product lbfgsd --static-swift-stdlib --scratch-path .build-install

$(LIBRARY): | setup
	LBFGSD_CPU=$(INSTALL_CPU) $(SWIFT_BUILD) -c release --product lbfgsd-engine --static-swift-stdlib --scratch-path .build-install

# The engine for C: `pkg-config --cflags --libs lbfgsd`. The first number of the library's name
# changes with its binary interface.
install-library: $(LIBRARY)
	install -D -m 0644 -s $(LIBRARY) $(DESTDIR)$(LIBDIR)/liblbfgsd.so.1.0.0
	ln -sf liblbfgsd.so.1.0.0 $(DESTDIR)$(LIBDIR)/liblbfgsd.so.1
	ln -sf liblbfgsd.so.1 $(DESTDIR)$(LIBDIR)/liblbfgsd.so
	install -D -m 0644 Sources/CLbfgsd/lbfgsd.h $(DESTDIR)$(INCLUDEDIR)/lbfgsd.h
	install -d $(DESTDIR)$(LIBDIR)/pkgconfig
	sed -e 's,@PREFIX@,$(PREFIX),' -e 's,@LIBDIR@,$(LIBDIR),' -e 's,@INCLUDEDIR@,$(INCLUDEDIR),' \
		Sources/CLbfgsd/lbfgsd.pc.in > $(DESTDIR)$(LIBDIR)/pkgconfig/lbfgsd.pc
	chmod 0644 $(DESTDIR)$(LIBDIR)/pkgconfig/lbfgsd.pc
	$(if $(DESTDIR),,-ldconfig)

$(WHEEL_LIBRARY): | setup
	LBFGSD_CPU=$(WHEEL_CPU) $(SWIFT_BUILD) -c release --product lbfgsd-engine --scratch-path .build-wheel

# The Python client with the engine inside, in out/wheel; without the engine it needs a daemon.
wheel: $(WHEEL_LIBRARY)
	install -D -m 0644 -s $(WHEEL_LIBRARY) out/wheel/engine/liblbfgsd.so
	LBFGSD_LIBRARY=$(CURDIR)/out/wheel/engine/liblbfgsd.so $(PYTHON) -m pip wheel --quiet --no-deps \
		--disable-pip-version-check --wheel-dir $(WHEEL_DIR) clients/python

# Without the engine: that is written in Swift. deploy/packages/sdist.sh says what it checks.
sdist:
	PYTHON=$(PYTHON) deploy/packages/sdist.sh $(WHEEL_DIR)

# The daemon and the C library as packages have them: for any x86-64 and for AVX2, with nothing of
# this machine inside, so that the same sources give the same bytes. In PACKAGE_BUILD/CPU/release.
PACKAGE_BUILD = .build-deb
PACKAGE_CPUS = x86-64 x86-64-v3
package-binaries:
	deploy/packages/compile.sh $(PACKAGE_BUILD) $(PACKAGE_CPUS)

deb: setup
	deploy/setup.sh packages $(shell deploy/packages/build-depends.sh)
	$(MAKE) package-binaries
	deploy/packages/deb.sh $(PACKAGE_BUILD)

# ONLY=STEP: one of them; see Tests/packages/run.sh.
test-packages:
	Tests/packages/run.sh $(ONLY)

# Keeps a configuration that is there. Starts nothing: see deploy/README.md.
install: $(BINARY) install-library
	install -D -m 0755 $(BINARY) $(DESTDIR)$(PREFIX)/bin/lbfgsd
	install -D -m 0644 deploy/lbfgsd.socket $(DESTDIR)$(UNITDIR)/lbfgsd.socket
	install -d $(DESTDIR)$(UNITDIR) $(DESTDIR)$(SYSCONFDIR)/lbfgsd
	sed -e 's,/usr/bin/lbfgsd,$(PREFIX)/bin/lbfgsd,' -e 's,/etc/lbfgsd,$(SYSCONFDIR)/lbfgsd,' \
		deploy/lbfgsd.service > $(DESTDIR)$(UNITDIR)/lbfgsd.service
	chmod 0644 $(DESTDIR)$(UNITDIR)/lbfgsd.service
	test -e $(DESTDIR)$(SYSCONFDIR)/lbfgsd/lbfgsd.yaml || \
		install -m 0644 deploy/lbfgsd.yaml $(DESTDIR)$(SYSCONFDIR)/lbfgsd/lbfgsd.yaml
	install -D -m 0644 deploy/lbfgsd.yaml $(DESTDIR)$(DOCDIR)/lbfgsd.yaml
	install -D -m 0644 deploy/nginx.conf $(DESTDIR)$(DOCDIR)/nginx.conf
	install -D -m 0644 deploy/tokens.conf $(DESTDIR)$(DOCDIR)/tokens.conf
	install -D -m 0644 deploy/webhooks.conf $(DESTDIR)$(DOCDIR)/webhooks.conf
	install -D -m 0644 deploy/lbfgsd-standby.service $(DESTDIR)$(DOCDIR)/lbfgsd-standby.service
	install -D -m 0644 deploy/slurm/evaluate.sbatch $(DESTDIR)$(DOCDIR)/evaluate.sbatch
	install -D -m 0644 deploy/README.md $(DESTDIR)$(DOCDIR)/README.md
	install -D -m 0644 LICENSE $(DESTDIR)$(DOCDIR)/LICENSE

# Leaves the configuration and the data.
uninstall:
	rm -f $(DESTDIR)$(PREFIX)/bin/lbfgsd $(DESTDIR)$(INCLUDEDIR)/lbfgsd.h
	rm -f $(DESTDIR)$(LIBDIR)/liblbfgsd.so $(DESTDIR)$(LIBDIR)/liblbfgsd.so.1
	rm -f $(DESTDIR)$(LIBDIR)/liblbfgsd.so.1.0.0 $(DESTDIR)$(LIBDIR)/pkgconfig/lbfgsd.pc
	rm -f $(DESTDIR)$(UNITDIR)/lbfgsd.service $(DESTDIR)$(UNITDIR)/lbfgsd.socket
	rm -rf $(DESTDIR)$(DOCDIR)

clean:
	rm -rf .build .build-install .build-deb .build-wheel .build-fuzz .build-thread .build-address \
		.build-page .venv out demo-data
