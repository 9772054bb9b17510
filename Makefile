# make help lists what there is.

GO          ?= go
PREFIX      ?= /usr/local
FUZZTIME    ?= 60s
BENCH       ?=
STATICCHECK  = honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOFLAGS     := -trimpath
LDFLAGS     := -s -w

.PHONY: help build demo test fuzz laws mutants bench sim lint install uninstall clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "%-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## put every command into bin/
	$(GO) build $(GOFLAGS) -ldflags '$(LDFLAGS)' -o bin/ ./cmd/...

demo: build ## two people, from nothing to a merged tree, on the embedded store
	@bash tests/demo/walk.sh "$(CURDIR)/bin/archivecache"

test: build ## everything; builds a real IPFS daemon first, which takes a minute or two once
	$(GO) vet ./...
	ARCHIVECACHE_BIN="$(CURDIR)/bin" $(GO) test -timeout 60m ./...

fuzz: ## every decoder against hostile input, FUZZTIME each
	@GO="$(GO)" bash tests/fuzz.sh $(FUZZTIME)

laws: ## the laws of the merge at 100,000 random schedules, which takes some ten minutes
	ARCHIVECACHE_LAWS=100000 $(GO) test ./tree -run Laws -timeout 60m -v

mutants: ## deliberate bugs in the merge, and which test catches each
	@bash tests/mutants/run.sh

bench: build ## beside cp, git, kubo and restic; see bench/README.md
	$(GO) run ./bench

sim: ## a thousand people, a tenth of them cheats, gossip until all are equal; see docs/simulation.md
	ARCHIVECACHE_SIM=1 $(GO) test ./internal/sim -run Thousand -v -timeout 20m

lint: ## vet, gofmt and staticcheck
	$(GO) vet ./...
	@test -z "$$(gofmt -l .)" || { echo "not formatted:"; gofmt -l .; exit 1; }
	$(GO) run $(STATICCHECK) ./...

install: build ## archivecache into PREFIX/bin, its siblings into PREFIX/libexec/archivecache
	install -d "$(DESTDIR)$(PREFIX)/bin" "$(DESTDIR)$(PREFIX)/libexec/archivecache"
	install -m 755 bin/archivecache "$(DESTDIR)$(PREFIX)/bin/"
	find bin -type f ! -name archivecache -exec install -m 755 {} "$(DESTDIR)$(PREFIX)/libexec/archivecache/" \;

uninstall: ## take away what install put there
	rm -f "$(DESTDIR)$(PREFIX)/bin/archivecache"
	rm -rf "$(DESTDIR)$(PREFIX)/libexec/archivecache"

clean: ## remove what was built
	rm -rf bin
