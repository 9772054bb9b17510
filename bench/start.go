package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"time"
)

const hello = `package main

import "fmt"

func main() { fmt.Println("hello, world") }
`

// maxStart is how much longer than a hello-world a command may take to start that only handles
// messages.
const maxStart = 2 * time.Millisecond

// startUp compares the whole life of message-to-json, on a small message, with that of a
// hello-world.
func (b *bench) startUp(ctx context.Context) error {
	const title = "start-up: message-to-json"
	if !b.wanted(title) {
		return nil
	}
	binary, err := b.buildHello(ctx)
	if err != nil {
		return err
	}
	encode := b.ours(ctx, "message-from-json")
	encode.Stdin = bytes.NewReader([]byte(`{"greeting": "hello"}`))
	message, err := encode.Output()
	if err != nil {
		return fmt.Errorf("message-from-json: %w", err)
	}
	all := []result{{contender: contender{name: "message-to-json"}}, {contender: contender{name: "hello-world in Go"}}}
	for range b.starts() {
		for i := range all {
			cmd := b.ours(ctx, "message-to-json")
			if i == 1 {
				cmd = exec.CommandContext(ctx, binary)
			}
			cmd.Stdin = bytes.NewReader(message)
			begin := time.Now()
			used, err := commands(cmd)()
			if err != nil {
				return err
			}
			all[i].add(time.Since(begin), used)
		}
	}
	all[0].aim.below = all[1].median() + maxStart
	return printTable(os.Stdout, title, all)
}

func (b *bench) starts() int {
	if b.quick {
		return 20
	}
	return 100 * b.runs
}

func (b *bench) buildHello(ctx context.Context) (binary string, err error) {
	source := b.path("hello.go")
	if err := os.WriteFile(source, []byte(hello), 0o666); err != nil {
		return "", err
	}
	binary = b.path("hello")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", binary, source)
	return binary, runCommand(build)
}
