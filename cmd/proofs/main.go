// Proofs lists, hands on and checks the proofs of forks.
package main

import (
	"context"
	"fmt"

	"archivecache/internal/cli"
	"archivecache/internal/local"
	"archivecache/message"
	"archivecache/repo"
	"archivecache/tree"
	"archivecache/tree/proof"
	"archivecache/tree/reference"
	"archivecache/tree/state"
)

const help = `usage: proofs [-repo DIR] [-json] [-export] [PATH|AUTHOR], or proofs -check|-import < MESSAGES

Proofs lists the forks that are known: who has signed, for which directory, two
references that do not continue each other. Nothing of theirs counts there any
more. With PATH only those at and below it are listed, with AUTHOR, an id, those
of one author.

With -export it writes each as a message in base64, a line each, with all that is
needed to check it. -check reads such messages from standard input and says who
has forked what; it needs no repository and knows nobody. The exit status is 1 if
one of them proves nothing. -import takes them into the repository, if their
authors are accepted there, and your next node carries them on.

Example:

  $ proofs
  $ proofs -export root/forum > proofs.txt
`

func main() { local.Main(help, run) }

func run(ctx context.Context, env *local.Env) error {
	asJSON := env.Flags.Bool("json", false, "print an object a line")
	export := env.Flags.Bool("export", false, "write messages")
	check := env.Flags.Bool("check", false, "check messages from standard input")
	take := env.Flags.Bool("import", false, "take in messages from standard input")
	args, err := env.Parse(0, 1)
	if err != nil {
		return err
	}
	tell := teller(env, *asJSON)
	switch {
	case *export && *check || *export && *take || *check && *take:
		return cli.Usage("it takes one of -export, -check and -import")
	case (*check || *take) && len(args) > 0:
		return cli.Usage("with -check and -import it takes no arguments, and messages from standard input")
	case *check:
		return checkAll(ctx, env, tell)
	case *take:
		return importAll(ctx, env, tell)
	}
	selected, err := local.SelectProofs(args)
	if err != nil {
		return err
	}
	return env.WithTree(ctx, func(r *repo.Repo, t *tree.Tree) error {
		return r.Proofs(ctx, func(_ reference.Slot, p *state.Proof) error {
			switch {
			case !selected(p):
				return nil
			case *export:
				return write(ctx, env, t, p)
			}
			return tell(p)
		})
	})
}

func write(ctx context.Context, env *local.Env, t *tree.Tree, p *state.Proof) error {
	whole, err := proof.Whole(ctx, t.Blocks, p)
	if err != nil {
		return err
	}
	json, err := proof.JSON(whole)
	if err != nil {
		return err
	}
	return cli.WriteMessage(env.Env, json, true)
}

// checkAll tells of each message that proves something; the error is why another one does not.
func checkAll(ctx context.Context, env *local.Env, tell func(*state.Proof) error) error {
	messages, failed := message.ReadAll(env.Stdin)
	for i, json := range messages {
		p, err := proof.FromJSON(json)
		if err == nil {
			err = proof.Verify(ctx, p)
		}
		if err == nil {
			err = tell(p)
		}
		if err != nil {
			if failed != nil {
				env.Say("%v", failed)
			}
			failed = fmt.Errorf("message %d: %w", i+1, err)
		}
	}
	return failed
}

// importAll takes in all messages or none.
func importAll(ctx context.Context, env *local.Env, tell func(*state.Proof) error) error {
	messages, err := message.ReadAll(env.Stdin)
	if err != nil {
		return err
	}
	var taken []*state.Proof
	err = env.Update(ctx, func(ctx context.Context, tx *repo.Tx) error {
		taken = nil
		for i, json := range messages {
			p, err := proof.FromJSON(json)
			if err != nil {
				return fmt.Errorf("message %d: %w", i+1, err)
			}
			isNew, err := tx.ImportProof(ctx, p)
			if err != nil {
				return fmt.Errorf("message %d: %w", i+1, err)
			}
			if isNew {
				taken = append(taken, p)
			}
		}
		return nil
	})
	for _, p := range taken {
		if err == nil {
			err = tell(p)
		}
	}
	if err == nil && len(taken) == 0 {
		env.Say("nothing that was not known already")
	}
	return err
}

// forkLine is what is said of a fork.
type forkLine struct {
	Author    string    `json:"author"`
	Policy    string    `json:"policy"`
	Path      string    `json:"path,omitempty"` // none for nodes
	Epoch     uint64    `json:"epoch"`
	Sequences [2]uint64 `json:"sequences"`
}

func teller(env *local.Env, asJSON bool) func(*state.Proof) error {
	return func(p *state.Proof) error {
		a := p.A
		line := forkLine{a.Owner.String(), a.Policy, a.Path, a.Epoch, [2]uint64{a.Sequence, p.B.Sequence}}
		if asJSON {
			return env.JSON(line)
		}
		at := a.Path
		switch a.Policy {
		case reference.NodePolicy:
			at = "their nodes"
		case reference.RotationPolicy:
			at = "their identity"
		}
		_, err := fmt.Fprintf(env.Stdout, "%s forked %s in epoch %d: sequences %d and %d\n",
			line.Author, cli.Quote(at), line.Epoch, min(a.Sequence, p.B.Sequence), max(a.Sequence, p.B.Sequence))
		return err
	}
}
