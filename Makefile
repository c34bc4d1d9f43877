# Everything a person or CI runs. `make demo` and `make test` set themselves up; nothing is installed by hand.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test lint types check bench native test-native check-native fuzz kinesis opensearch test-deploy test-drivers soak lock clean

# With the native kernel if it can be built here; without it everything works, more slowly.
demo: $(VENV)/.installed
	@if command -v cargo >/dev/null; then $(MAKE) --no-print-directory native || echo "The native kernel was not built: the plain Python runs." >&2; fi
	$(BIN)/strandline demo $$(test -t 1 && echo --console)

test: lint types browser $(VENV)/.installed-emulators
	$(BIN)/pytest -n 2

# Debian's Chromium, for the tests of the console. Where it cannot be installed they fail, and say so.
.PHONY: browser screenshots
browser:
	@command -v chromium >/dev/null || { apt-get update -qq && \
		apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core >/dev/null; } || \
		echo "make browser: chromium cannot be installed here; install it, or the tests in a browser fail" >&2

# The pictures in docs/console.
screenshots: $(VENV)/.installed-dev $(VENV)/.installed-emulators
	STRANDLINE_TEST_SCREENSHOTS=$(CURDIR)/docs/console $(BIN)/pytest tests/console/test_browser.py -k screenshots

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache
	$(BIN)/deptry .

types: $(VENV)/.installed-dev
	$(BIN)/mypy

# The native kernel, which nothing else needs. It takes the Rust that is there, and fetches no other.
native: $(VENV)/.installed
	@command -v cargo >/dev/null || { echo "make native: needs cargo (Rust 1.88 or later) and a C compiler; without it the plain Python runs" >&2; exit 2; }
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r native/requirements.lock
	cd native && MATURIN_NO_INSTALL_RUST=1 VIRTUAL_ENV=$(abspath $(VENV)) $(abspath $(BIN))/maturin develop --release --locked --quiet

test-native: check-native $(VENV)/.installed-dev
	$(BIN)/pytest tests/native

# The Rust of it by itself; `make test` has the tests against the plain Python.
check-native: native
	cd native && cargo fmt --check && cargo clippy --locked --quiet --all-targets -- -D warnings
	cd native && cargo test --locked --quiet --no-default-features

# The wheels, in build/dist: Strandline's, and its native kernel's for each target, by default this machine. It runs on any
# Linux of its kind with glibc 2.17 (zig links it) and any Python from 3.11 on (abi3); both claims are checked. Another target
# needs its standard library: rustup target add aarch64-unknown-linux-gnu
# setuptools would add what an earlier build left in build/lib.
TARGETS ?= $(shell rustc --version --verbose | sed -n 's/^host: //p')
.PHONY: wheels sizes
wheels: $(VENV)-wheels/.installed
	rm -rf build/dist build/lib
	$(VENV)-wheels/bin/pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir build/dist .
	cp tools/wheels/overrides.txt build/dist
	for target in $(TARGETS); do (cd native && PATH="$(abspath $(VENV)-wheels/bin):$$PATH" MATURIN_NO_INSTALL_RUST=1 \
		maturin build --release --locked --quiet --zig --compatibility manylinux2014 --target $$target --out ../build/dist) || exit 1; done
	$(VENV)-wheels/bin/abi3audit --strict build/dist/strandline_native-*.whl
	for wheel in build/dist/strandline_native-*.whl; do \
		$(VENV)-wheels/bin/auditwheel show $$wheel | tr '\n' ' ' | grep -q 'platform tag.* "manylinux_2_17_' || exit 1; done
	$(VENV)-wheels/bin/twine check --strict build/dist/*.whl

# What each extra takes: the table in README.md.
sizes: $(VENV)/.installed-dev
	rm -rf build/sizes build/lib
	$(BIN)/uv build --quiet --wheel --out-dir build/sizes
	$(BIN)/python tools/sizes.py build/sizes/*.whl $(BIN)/uv

# Mutated journals through both kernels: make fuzz INPUTS=10000 SEED=1
INPUTS ?= 1000000
SEED ?= $(shell date +%s)
fuzz: native $(VENV)/.installed-dev
	$(BIN)/python -m tests.native.fuzz --inputs $(INPUTS) --seed $(SEED)

# Every long test, for its share of the time: make soak DURATION=600 SEED=1 [ONLY="replay fuzz"]
DURATION ?= 600
ONLY ?=
soak: $(VENV)/.installed-dev $(VENV)/.installed-emulators
	$(BIN)/python -m tests.soak --duration $(DURATION) --seed $(SEED) $(ONLY)

bench: $(VENV)/.installed-dev $(VENV)/.installed-emulators build/opensearch/.built
	$(BIN)/python -m benchmarks

# The workflows, beyond their schema: contexts, expressions, runners. Fetched by Go; with shellcheck, if that is there.
check-workflows:
	go run github.com/rhysd/actionlint/cmd/actionlint@v1.7.12

# The Pulumi program against mocks, the Terraform module against it, and the Kubernetes manifests against their schema. Their
# packages (700 MB) are installed beside the others, which need none of them.
test-deploy: $(VENV)-deploy/.installed
	$(VENV)-deploy/bin/pytest -W ignore --confcutdir tests/deploy $(wildcard tests/deploy/test_s*.py) tests/deploy/test_terraform.py

# The Terraform module with its provider, which is fetched.
check-terraform:
	terraform fmt -check -recursive deploy/terraform
	terraform -chdir=deploy/terraform init -backend=false -input=false
	terraform -chdir=deploy/terraform validate

# Known vulnerabilities of what the lock files name. Without --strict, pip-audit passes when it can ask no source.
.PHONY: audit check-terraform check-version check-workflows
LOCKS := $(wildcard *.lock) native/requirements.lock tests/drivers/requirements.lock
audit: $(VENV)-audit/.installed
	set -e; for lock in $(LOCKS); do $(VENV)-audit/bin/pip-audit --strict --require-hashes --disable-pip -r $$lock; done
	$(VENV)-audit/bin/cargo-audit audit --file native/Cargo.lock

# That the version of a tag is the one of the sources: make check-version VERSION=0.1.0
check-version:
	$(PYTHON) tools/check_version.py $(VERSION)

# QLDB's own drivers against `strandline serve qldb`; each with packages of its own, pinned. Java and Go where they are.
test-drivers: $(VENV)/.installed-dev $(VENV)/.installed-emulators $(VENV)-drivers/.installed $(VENV)-qldbshell/.installed
	@if command -v go >/dev/null; then $(MAKE) --no-print-directory build/drivers/go-client; \
		else echo "make test-drivers: the driver for Go is left out: it needs go 1.20 or later" >&2; fi
	@if command -v mvn >/dev/null && command -v javac >/dev/null; then $(MAKE) --no-print-directory build/drivers/classes/.built; \
		else echo "make test-drivers: the driver for Java is left out: it needs a JDK (17 or later) and Maven" >&2; fi
	STRANDLINE_TEST_DRIVERS=1 $(BIN)/pytest tests/drivers

build/drivers/go-client: $(wildcard tests/drivers/go/*)
	go build -C tests/drivers/go -o $(CURDIR)/$@ .

JARS := build/drivers/jars
COPY_JARS := org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies
build/drivers/classes/.built: $(wildcard tests/drivers/java/*)
	rm -rf $(JARS)
	mvn -q -B -f tests/drivers/java/pom.xml $(COPY_JARS) -DoutputDirectory=$(CURDIR)/$(JARS)
	cd $(JARS) && sha256sum --check --quiet --strict $(CURDIR)/tests/drivers/java/jars.sha256
	javac -cp '$(JARS)/*' -d $(@D) tests/drivers/java/Client.java
	touch $@


# Emulators of Kinesis and DynamoDB, until Ctrl-C: docs/operations.md.
kinesis: $(VENV)/.installed-dev $(VENV)/.installed-emulators
	@$(BIN)/python -m tests.emulators

# A real OpenSearch node on the loopback address, its data in build/opensearch/data, until Ctrl-C: docs/opensearch.md.
OPENSEARCH_PORT ?= 9200
opensearch: build/opensearch/.built
	@echo 'In another shell: export STRANDLINE_OPENSEARCH_URL=http://127.0.0.1:$(OPENSEARCH_PORT)'
	@java -Xms512m -Xmx512m -cp 'build/opensearch/jars/*:build/opensearch/classes' \
		Launch build/opensearch/data $(OPENSEARCH_PORT) $$(($(OPENSEARCH_PORT) + 100))

build/opensearch/.built: tools/opensearch/pom.xml tools/opensearch/Launch.java
	mvn -q -B -f tools/opensearch/pom.xml dependency:copy-dependencies -DoutputDirectory=$(CURDIR)/build/opensearch/jars
	javac -cp 'build/opensearch/jars/*' -d build/opensearch/classes tools/opensearch/Launch.java
	touch $@

# The lock files hold exact versions and hashes; this is the only target that changes them.
# Packages that others require and nothing imports (amazon.ion's jsonconversion and its numpy, opensearch-py's gRPC: 90 MB)
# are left out: the locks are complete, so what they list is installed with --no-deps.
UNUSED := $(foreach name,jsonconversion numpy grpcio opensearch-protobufs,--no-emit-package $(name))
COMPILE := $(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url
lock: $(VENV)/.installed-dev
	$(COMPILE) $(UNUSED) pyproject.toml --extra console --extra embedded --extra shell -o requirements.lock
	$(COMPILE) $(UNUSED) pyproject.toml --extra console --extra alb --extra worker --extra provenance --extra tracing -o requirements-worker.lock
	$(COMPILE) pyproject.toml --extra deploy -o requirements-deploy.lock
	$(COMPILE) tests/drivers/requirements.in -o tests/drivers/requirements.lock
	$(COMPILE) tests/drivers/qldbshell/requirements.in --override tests/drivers/qldbshell/overrides.txt -o tests/drivers/qldbshell/requirements.lock
	$(COMPILE) tools/wheels/requirements.in -o tools/wheels/requirements.lock
	$(COMPILE) $(UNUSED) pyproject.toml --extra dev --extra alb --extra cluster --extra console --extra embedded --extra shell --extra parquet --extra worker --extra provenance --extra tracing -o requirements-dev.lock

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Strandline needs Python 3.11 or later: make PYTHON=python3.11 …")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml requirements.lock | $(VENV)/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

$(VENV)/.installed-dev: pyproject.toml requirements-dev.lock | $(VENV)/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements-dev.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@ $(VENV)/.installed

$(VENV)-deploy/.installed: pyproject.toml requirements-deploy.lock
	$(PYTHON) -m venv $(VENV)-deploy
	$(VENV)-deploy/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-deploy.lock
	touch $@

$(VENV)-audit/.installed: Makefile
	$(PYTHON) -m venv $(VENV)-audit
	$(VENV)-audit/bin/pip install --quiet --disable-pip-version-check pip-audit==2.10.1
	cargo install --quiet --locked --root $(VENV)-audit cargo-audit@0.22.2

# Without dependencies: the lock overrides some of the shell's.
$(VENV)-qldbshell/.installed: tests/drivers/qldbshell/requirements.lock
	$(PYTHON) -m venv $(VENV)-qldbshell
	$(VENV)-qldbshell/bin/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r $<

$(VENV)-wheels/.installed: tools/wheels/requirements.lock
	$(PYTHON) -m venv $(VENV)-wheels
	$(VENV)-wheels/bin/pip install --quiet --disable-pip-version-check --require-hashes -r tools/wheels/requirements.lock
	touch $@

$(VENV)-drivers/.installed: tests/drivers/requirements.lock tests/drivers/node/package-lock.json
	$(PYTHON) -m venv $(VENV)-drivers
	$(VENV)-drivers/bin/pip install --quiet --disable-pip-version-check --require-hashes -r tests/drivers/requirements.lock
	npm ci --silent --no-audit --no-fund --prefix tests/drivers/node
	touch $@

# No lock file: it would name a registry's host. The package has no dependencies and its version is exact.
$(VENV)/.installed-emulators: Makefile | $(VENV)/bin/python
	npm install --silent --no-package-lock --no-audit --no-fund --prefix $(VENV)/emulators kinesis-local@0.6.2 axe-core@4.14.1
	touch $@

clean:
	rm -rf $(VENV) $(VENV)-audit $(VENV)-deploy $(VENV)-drivers $(VENV)-qldbshell $(VENV)-wheels tests/drivers/node/node_modules build *.egg-info .pytest_cache .mypy_cache .ruff_cache
