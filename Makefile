# Plain make: it runs under GNU make 3.81 (macOS) and later. `make` alone says what it can do.
# Every environment is made from pinned files by requirements/install, which does nothing when they have not changed.

LOCAL = requirements/local.txt pyproject.toml
COMPILE = ../.venv-lock/bin/uv pip compile --quiet --universal --python-version 3.11 \
	--no-emit-index-url --no-header $(UPGRADE)
# Without this, SAM reports its use to AWS.
SAM = SAM_CLI_TELEMETRY=0 .venv-sam/bin/sam

# What is passed over, and why, stands in the template. (No .cfnlintrc: SAM would read it too, and has no serverless rules.)
CFN_LINT = .venv/bin/cfn-lint --append-rules cfn_lint_serverless.rules

# What is passed over stands beside the resource, with its reason. Without the variable a file it cannot read passes.
CHECKOV = CKV_PARSE_ERROR_FAIL=true .venv-checkov/bin/checkov --compact --quiet --skip-download

# The example of a consumer is a page: it takes AWS's own encryption (27, which does not know SSE-SQS; 119, 158, 173), and
# has a queue that bounds its function, a dead-letter queue behind that (115, 116), and nothing in a VPC (117).
EXAMPLE_MAY = CKV_AWS_27,CKV_AWS_115,CKV_AWS_116,CKV_AWS_117,CKV_AWS_119,CKV_AWS_158,CKV_AWS_173

# Of Step Functions it knows DescribeExecution for express workflows alone; AWS knows it for standard ones, too. (The
# warning that it is spared is of the package it finds its own files with.)
PARLIAMENT = .venv-checkov/bin/python -W ignore .venv-checkov/bin/parliament --exclude_pattern '.*SeeWhetherItIsWaitedFor.*'

# Whoever makes up keys and hashes, in tests, events and benchmarks, is searched for keys of a known form alone: of AWS,
# GitHub and so on. The rest is searched for whatever looks like a secret, but IAM's GetSecretValue does not count.
SECRETS = .venv/bin/detect-secrets-hook --no-verify
FILES = * .ci .github -name __pycache__ -prune -o
MADE_UP = -path tests -prune -o -path events -prune -o -path benchmarks -prune -o
KNOWN_FORMS = --disable-plugin KeywordDetector --disable-plugin HexHighEntropyString \
	--disable-plugin Base64HighEntropyString

# Without --strict it calls packages sound that it could not look up.
PIP_AUDIT = .venv-audit/bin/pip-audit --strict --require-hashes --disable-pip
AUDITED = layers/packshot/requirements.txt requirements/local.txt requirements/check.txt

help: ## say what each target does
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' Makefile

setup: ## make .venv, with the packshot command in it (Python 3.11 or newer)
	@sh requirements/install .venv $(LOCAL)

demo: setup ## see photos become scenes on this machine: no account, no key
	@.venv/bin/packshot demo

demo-live: setup ## the same against Segmind: SEGMIND_API_KEY=... make demo-live PHOTOS=folder/
	@.venv/bin/packshot demo --live --photos "$(PHOTOS)" $(if $(YES),--yes)

test: setup-check setup-sam ## every test that needs no account: unit, contract, simulation, and integration in the local cloud
	.venv/bin/pytest -n 2 --dist loadfile tests/deployment tests/unit tests/contract tests/simulation/test_promises.py tests/simulation/test_schedules.py tests/integration

test-unit: setup-check ## the fast tests alone
	.venv/bin/pytest tests/unit

test-deployment: setup-check setup-sam ## the third step of the README in the local cloud: build, deploy, smoke, update while it works
	.venv/bin/pytest tests/deployment

test-cdk: setup-check ## the CDK example synthesises (Node.js 20 or newer)
	@node --version >/dev/null 2>&1 || { echo "packshot: CDK needs Node.js on PATH" >&2; exit 1; }
	@sh requirements/install .venv-cdk examples/cdk/requirements.txt
	.venv/bin/pytest tests/cdk

drill-simulation: setup-check ## 10,000 simulated schedules of faults, and the mistakes that they have to find
	SIMULATION_SCHEDULES="$${SIMULATION_SCHEDULES:-10000}" .venv/bin/pytest -n 2 --dist load tests/simulation

test-live: setup-check ## the real API, with a key: SEGMIND_API_KEY=... make test-live (pays for one image)
	@test -n "$$SEGMIND_API_KEY" || { echo "SEGMIND_API_KEY is not set: this test needs a key from Segmind" >&2; exit 1; }
	.venv/bin/pytest tests/live

drill: drill-simulation drill-cloud drill-grants ## the promises under deaths, faults and repetitions: SEED=... PHOTOS=60 (half an hour)

drill-cloud: setup-check ## the half of it in the local cloud; FULL=1 takes the template's own times (half an hour)
	.venv/bin/python -m tests.drill $(if $(SEED),--seed $(SEED)) $(if $(PHOTOS),--photos $(PHOTOS)) $(if $(FULL),--full)

drill-grants: setup-check ## each permission taken away in turn: the test that needs it has to fail (ten minutes)
	.venv/bin/pytest -n 2 --dist load tests/drill/test_statements.py

bench: setup-check ## speed and cost beside the textbook loop and the SDK, into docs/benchmarks.md (a quarter of an hour)
	.venv/bin/python -m benchmarks

grants: setup-check ## see again what each function asks AWS for, for docs/grants.json and the table in docs/security.md
	@# From nothing: what is not used any more must not count as seen.
	echo "[]" > docs/grants.json
	RECORD_GRANTS=1 .venv/bin/pytest tests/integration

check: setup-check setup-sam setup-checkov ## style, types, pinned packages, secrets, the template, its policies and workflow
	.venv/bin/python -m pip check
	.venv-sam/bin/python -m pip check
	.venv-checkov/bin/python -m pip check
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy
	$(CFN_LINT) --template template.yaml examples/consumer/template.yaml
	$(SAM) validate --lint --region us-east-1
	$(SAM) validate --lint --region us-east-1 --template examples/consumer/template.yaml
	$(CHECKOV) --framework cloudformation --file template.yaml
	$(CHECKOV) --framework cloudformation --file examples/consumer/template.yaml --skip-check $(EXAMPLE_MAY)
	.venv/bin/python -m tests.policies .aws-sam/policies
	$(PARLIAMENT) --directory .aws-sam/policies --include_policy_extension json
	find $(FILES) $(MADE_UP) -type f -print0 | xargs -0 $(SECRETS) --exclude-secrets '^GetSecretValue$$'
	find $(FILES) -type f -print0 | xargs -0 $(SECRETS) $(KNOWN_FORMS)
	.venv/bin/pytest tests/unit/test_pins.py tests/unit/test_policies.py tests/unit/test_workflow_file.py

audit: ## look up known vulnerabilities of the pinned packages: needs the network, so it is no part of `make check`
	@sh requirements/install .venv-audit requirements/audit.txt
	for file in $(AUDITED); do $(PIP_AUDIT) -r "$$file" || exit 1; done

build: setup-sam ## build the functions and the layer for Lambda, into .aws-sam
	PYTHON="$$PWD/.venv-sam/bin/python" $(SAM) build

deploy: build ## deploy to your AWS account; asks before it changes anything
	$(SAM) deploy --guided

smoke: setup ## one photo through a deployed stack, looked at and cleaned up (pays for one image): STACK=...
	.venv/bin/packshot smoke $(if $(STACK),--stack "$(STACK)") $(if $(YES),--yes)

probe: setup ## ask Segmind what nobody knows without a key, up to 36 cents: SEGMIND_API_KEY=... make probe (HISTORY_URL=...)
	@.venv/bin/packshot probe $(if $(HISTORY_URL),--history-url "$(HISTORY_URL)") $(if $(YES),--yes)

destroy: setup ## delete a stack with all photos, images and records in it: STACK=... (asks for its name first)
	.venv/bin/packshot destroy $(if $(STACK),--stack "$(STACK)")

schema: setup ## write the schemas and the examples again (scenes files, manifests, events), after a change to their models
	.venv/bin/python -m packshot_cli.schemas

release: schema ## with a release: from now on, consumers know today's schemas, and accounts hold today's template
	cp events/schemas/*.schema.json tests/contract/released/
	cp template.yaml workflow.asl.yaml tests/deployment/released/

lock: ## compile the pinned files again; UPGRADE=--upgrade takes the newest versions
	@sh requirements/install .venv-lock requirements/lock.txt
	cd requirements && $(COMPILE) --generate-hashes lock.in -o lock.txt
	cd layers/packshot && ../$(COMPILE) --generate-hashes requirements.in -o requirements.txt
	cd benchmarks/textbook && ../$(COMPILE) --generate-hashes requirements.in -o requirements.txt
	cd examples/cdk && ../$(COMPILE) --generate-hashes requirements.in -o requirements.txt
	cd requirements && $(COMPILE) --generate-hashes local.in -o local.txt
	cd requirements && $(COMPILE) --generate-hashes check.in -o check.txt
	cd requirements && $(COMPILE) --generate-hashes checkov.in -o checkov.txt
	cd requirements && $(COMPILE) --generate-hashes audit.in -o audit.txt
	cd requirements && $(COMPILE) sam.in -o sam.txt

clean: ## remove what these targets made
	rm -rf .venv .venv-sam .venv-checkov .venv-audit .venv-cdk .venv-lock .aws-sam .packshot .mypy_cache .pytest_cache .ruff_cache .hypothesis *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

setup-check: setup
	@sh requirements/install .venv $(LOCAL) requirements/check.txt

setup-checkov: setup
	@sh requirements/install .venv-checkov requirements/checkov.txt

setup-sam: setup
	@sh requirements/install .venv-sam requirements/sam.txt

.PHONY: help setup demo demo-live test test-unit test-deployment test-cdk test-live bench grants drill drill-simulation drill-cloud drill-grants check audit build deploy smoke probe destroy schema release lock clean setup-check setup-checkov setup-sam
