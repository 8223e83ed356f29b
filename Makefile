# One environment, in two steps, each repeated whenever its pinned requirements change: what `run` needs, and everything.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUNNABLE := $(VENV)/.installed-local
READY := $(VENV)/.installed
GENERATED := $(VENV)/generated.xml
STAMPEDE := $(VENV)/stampede.xml
NEW_KEY := $(BIN)/python -c 'import secrets; print(secrets.token_urlsafe(48))'

.DEFAULT_GOAL := help
.PHONY: help run test test-browser screenshots messages prove prove-cluster bench mutants check format requirements clean

help:  ## List the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

define install
@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11")'
$(PYTHON) -m venv $(VENV)
$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
@touch $@
endef

$(RUNNABLE): requirements-local.txt
	$(install)

# requirements-dev.txt holds all of requirements-local.txt.
$(READY): requirements-dev.txt
	$(install)
	@touch $(RUNNABLE)

run: $(RUNNABLE)  ## Start everything with demo data (PORT=8000; EMPTY=1: without, in a database of its own) and print the addresses
	@exec $(if $(EMPTY),env CASHBACK_LOCAL_PROFILE=empty) $(BIN)/python manage.py run $(if $(EMPTY),--empty)

# These proofs need the whole machine, so they run after the others and not beside them.
EXCLUSIVE := tests/proofs/test_faults.py tests/proofs/test_stampede.py
test: $(READY)  ## Run all tests on a real PostgreSQL and Redis
	$(BIN)/python -m pytest -n 2 --dist loadgroup $(EXCLUSIVE:%=--ignore=%)
	$(BIN)/python -m pytest $(EXCLUSIVE)

prove: $(READY)  ## Inject every fault while clients claim (MINUTES=10 SEED=…), and write docs/proofs.md
	$(eval RUN_SEED := $(or $(SEED),$(shell $(BIN)/python -c 'import secrets; print(secrets.randbelow(10**9) + 1)')))
	@rm -f $(GENERATED) $(STAMPEDE)
	-PROVE_SEED=$(RUN_SEED) PROVE_SEQUENCES=200 PROVE_EXAMPLES=60 $(BIN)/python -m pytest -n 2 -q -o faulthandler_timeout=900 --junitxml=$(GENERATED) \
		tests/proofs/test_state_model.py tests/proofs/test_money_model.py tests/proofs/test_concurrent_steps.py \
		tests/proofs/test_interrupted_claims.py tests/api/test_fuzz.py
	-$(BIN)/python -m pytest -q --junitxml=$(STAMPEDE) tests/proofs/test_stampede.py
	$(BIN)/python manage.py prove --write $(WRITE) --generated $(GENERATED) $(STAMPEDE) --minutes $(or $(MINUTES),10) --seed $(RUN_SEED)

# Patroni in a folder of its own; HAProxy, PgBouncer and etcd are the system's (make says which are missing).
CLUSTER := .venv-cluster
$(CLUSTER)/.installed: requirements-cluster.txt | $(READY)
	rm -rf $(CLUSTER)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --target $(CLUSTER) --require-hashes -r $<
	@touch $@

prove-cluster: $(READY) $(CLUSTER)/.installed  ## Break a cluster of five hosts (Linux, root; MINUTES=3 is short), and write docs/cluster.md
	$(BIN)/python manage.py prove_cluster --write $(WRITE) --minutes $(or $(MINUTES),10) $(if $(SEED),--seed $(SEED))

bench: $(READY)  ## Measure everything against its baseline (more than an hour; ROUNDS=5), and write docs/benchmarks.md
	$(BIN)/python manage.py bench --write $(ROUNDS:%=--rounds %)

test-browser: $(READY)  ## Test the pages in a real browser (needs chromium on PATH)
	$(BIN)/python -m pytest tests/browser -m browser

screenshots: $(READY)  ## Take a picture of every page, light and dark, wide and narrow, in SCREENSHOTS=docs/screenshots (needs chromium)
	$(BIN)/python -m pytest tests/browser -m screenshots

mutants: $(READY)  ## Check that tests detect small changes of the code (SAMPLE=80 SEED=1 ONLY=wallet/ledger, or SAMPLE=all)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-mutants.txt
	$(BIN)/python -m tests.mutants --sample $(or $(SAMPLE),80) --seed $(or $(SEED),1) $(if $(ONLY),--only $(ONLY))

check: $(READY)  ## Lint, types, import contracts, missing migrations, deploy check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m dev.check_names
	$(BIN)/python manage.py makemigrations --check --dry-run
	@env CASHBACK_ENV=production DATABASE_URL=postgresql://db.example.com/cashback REDIS_URL=redis://redis.example.com \
		ALLOWED_HOSTS=wallet.example.com SECRET_KEY="$$($(NEW_KEY))" JWT_SIGNING_KEY="$$($(NEW_KEY))" \
		SEAL_SIGNING_KEY="$$($(NEW_KEY))" \
		$(BIN)/python manage.py check --deploy --fail-level WARNING

format: $(READY)  ## Format the code and apply the linter's fixes
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

PIN := uv pip compile --quiet --universal --python-version 3.11 --no-annotate --no-header --no-emit-index-url --generate-hashes
requirements:  ## Pin requirements*.in again, with hashes (needs uv; KEEP=1 keeps the pinned versions)
	$(PIN) $(if $(KEEP),,--upgrade) requirements.in -o requirements.txt
	$(PIN) $(if $(KEEP),,--upgrade) requirements-local.in -o requirements-local.txt
	$(PIN) $(if $(KEEP),,--upgrade) requirements-telemetry.in -o requirements-telemetry.txt
	$(PIN) $(if $(KEEP),,--upgrade) requirements-dev.in -o requirements-dev.txt
	$(PIN) $(if $(KEEP),,--upgrade) requirements-mutants.in -o requirements-mutants.txt
	$(PIN) $(if $(KEEP),,--upgrade) requirements-cluster.in -o requirements-cluster.txt

messages: $(READY)  ## Extract the pages' texts into locale/ and compile them (needs gettext)
	$(BIN)/python manage.py makemessages --all --no-location --no-obsolete -i "$(VENV)/*" -i "tests/*" -i "wallet/admin/*" -i "wallet/static/*"
	$(BIN)/python manage.py compilemessages -i "$(VENV)/*"

clean:  ## Remove the environment and the tools' caches (the data stays: manage.py services status shows its folder)
	rm -rf $(VENV) $(CLUSTER) .mutants .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis staticfiles
