# One environment, made on first use and again whenever the pinned requirements change.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.installed
GENERATED := $(VENV)/generated.xml
STAMPEDE := $(VENV)/stampede.xml
NEW_KEY := $(BIN)/python -c 'import secrets; print(secrets.token_urlsafe(48))'

.DEFAULT_GOAL := help
.PHONY: help run test test-browser screenshots messages prove bench mutants check format requirements clean

help:  ## Say what can be made
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

$(READY): requirements-dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@touch $@

run: $(READY)  ## Start everything with demo data (PORT=8000) and print where to go
	@exec $(BIN)/python manage.py run

# Some proofs take the whole machine, so they come after the others and not beside them.
WHOLE := tests/proofs/test_faults.py tests/proofs/test_stampede.py
test: $(READY)  ## Run all tests on a real PostgreSQL and Redis
	$(BIN)/python -m pytest -n 2 --dist loadgroup $(WHOLE:%=--ignore=%)
	$(BIN)/python -m pytest $(WHOLE)

prove: $(READY)  ## Break everything while clients claim (MINUTES=10 SEED=…), and write docs/proofs.md
	$(eval DICE := $(or $(SEED),$(shell $(BIN)/python -c 'import secrets; print(secrets.randbelow(10**9) + 1)')))
	@rm -f $(GENERATED) $(STAMPEDE)
	-PROVE_SEED=$(DICE) PROVE_SEQUENCES=200 PROVE_EXAMPLES=60 $(BIN)/python -m pytest -n 2 -q --junitxml=$(GENERATED) \
		tests/proofs/test_machine.py tests/proofs/test_points.py tests/proofs/test_breaking.py tests/api/test_fuzz.py
	-$(BIN)/python -m pytest -q --junitxml=$(STAMPEDE) tests/proofs/test_stampede.py
	$(BIN)/python manage.py prove --write $(WRITE) --generated $(GENERATED) $(STAMPEDE) --minutes $(or $(MINUTES),10) --seed $(DICE)

bench: $(READY)  ## Measure everything beside its yardstick (some 30 minutes; ROUNDS=5), and write docs/benchmarks.md
	$(BIN)/python manage.py bench --write $(ROUNDS:%=--rounds %)

test-browser: $(READY)  ## Walk through the pages in a real browser (needs chromium on PATH)
	$(BIN)/python -m pytest tests/browser -m browser

screenshots: $(READY)  ## Draw every page, light and dark, wide and narrow, into SCREENSHOTS=docs/screenshots (needs chromium)
	$(BIN)/python -m pytest tests/browser -m screenshots

mutants: $(READY)  ## Change the code in small ways and see a test notice each (SAMPLE=80 SEED=1 ONLY=wallet/ledger, or SAMPLE=all)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-mutants.txt
	$(BIN)/python -m tests.mutants --sample $(or $(SAMPLE),80) --seed $(or $(SEED),1) $(if $(ONLY),--only $(ONLY))

check: $(READY)  ## Lint, types, import contracts, migrations in step, deploy check
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

format: $(READY)  ## Put the code in order
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

PIN := uv pip compile --quiet --universal --python-version 3.11 --no-annotate --no-header --no-emit-index-url --generate-hashes
requirements:  ## Pin requirements*.in again, with hashes (needs uv; KEEP=1 keeps the versions that are pinned)
	$(PIN) $(if $(KEEP),,--upgrade) requirements.in -o requirements.txt
	$(PIN) $(if $(KEEP),,--upgrade) requirements-dev.in -o requirements-dev.txt
	$(PIN) $(if $(KEEP),,--upgrade) requirements-mutants.in -o requirements-mutants.txt

messages: $(READY)  ## Collect the pages' texts into locale/ and compile them (needs gettext)
	$(BIN)/python manage.py makemessages --all --no-location --no-obsolete -i "$(VENV)/*" -i "tests/*" -i "wallet/admin/*" -i "wallet/static/*"
	$(BIN)/python manage.py compilemessages -i "$(VENV)/*"

clean:  ## Remove the environment and what tools left behind (the data stays: manage.py services status says where)
	rm -rf $(VENV) .mutants .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis staticfiles
