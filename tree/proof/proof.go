// Package proof carries proofs of forks as messages that stand on their own: whoever has one can
// check it without a repository, and without knowing anybody in it.
//
// A message (package message) holds the JSON object
//
//	{".policy": "fork_proof_v1", "a": {...}, "b": {...}, "blocks": [base64, ...]}
//
// where a and b are the two references of a [state.Proof] in its order (package reference has their
// JSON), and blocks are what has to be read to see that they do not continue each other: the
// identity document of the author, rotations, and parts of the two histories. The blocks stand in
// the order of their bytes, none twice; there are at most [state.MaxProofBlocks], of
// [state.MaxProofBytes] together. A reader refuses any other spelling.
package proof

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"archivecache/message"
	"archivecache/store"
	"archivecache/tree/reference"
	"archivecache/tree/state"
)

// Policy says what a message is.
const Policy = "fork_proof_v1"

// ErrMalformed is a message that is not as the package comment says.
var ErrMalformed = errors.New("malformed proof")

// document is a proof as JSON.
type document struct {
	Policy string          `json:".policy"`
	A      json.RawMessage `json:"a"`
	B      json.RawMessage `json:"b"`
	Blocks [][]byte        `json:"blocks"`
}

// Whole returns p with all that it takes to check it, which is read from blocks unless p has it.
func Whole(ctx context.Context, blocks store.Getter, p *state.Proof) (*state.Proof, error) {
	if Verify(ctx, p) == nil {
		return p, nil
	}
	return state.Prove(ctx, blocks, p.A, p.B)
}

// JSON returns p as the JSON of a message.
func JSON(p *state.Proof) ([]byte, error) {
	a, err := p.A.JSON()
	if err != nil {
		return nil, err
	}
	b, err := p.B.JSON()
	if err != nil {
		return nil, err
	}
	doc := document{Policy: Policy, A: a, B: b, Blocks: append([][]byte{}, p.Blocks...)}
	data, err := json.Marshal(doc)
	if err != nil {
		return nil, err
	}
	return message.Canonical(data)
}

// FromJSON reads a proof from the canonical JSON of a message. It checks the form; [Verify] checks
// what it proves.
func FromJSON(data []byte) (*state.Proof, error) {
	var doc document
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&doc); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if doc.Policy != Policy {
		return nil, fmt.Errorf("%w: its policy is %.40q, not %s", ErrMalformed, doc.Policy, Policy)
	}
	p, err := doc.proof()
	if err != nil {
		return nil, err
	}
	again, err := JSON(p)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if !bytes.Equal(again, data) {
		return nil, fmt.Errorf("%w: not spelled as a proof is", ErrMalformed)
	}
	return p, nil
}

func (d document) proof() (*state.Proof, error) {
	if err := checkBlocks(d.Blocks); err != nil {
		return nil, err
	}
	a, err := reference.FromJSON(d.A)
	if err != nil {
		return nil, fmt.Errorf("%w: a: %w", ErrMalformed, err)
	}
	b, err := reference.FromJSON(d.B)
	if err != nil {
		return nil, fmt.Errorf("%w: b: %w", ErrMalformed, err)
	}
	p := state.NewProof(a, b)
	if p.A != a {
		return nil, fmt.Errorf("%w: its references stand in the wrong order", ErrMalformed)
	}
	p.Blocks = d.Blocks
	return p, nil
}

func checkBlocks(blocks [][]byte) error {
	size := 0
	for i, data := range blocks {
		if size += len(data); i >= state.MaxProofBlocks || size > state.MaxProofBytes {
			return fmt.Errorf("%w: more than %d blocks, or %d bytes of them", ErrMalformed, state.MaxProofBlocks, state.MaxProofBytes)
		}
		if i > 0 && bytes.Compare(blocks[i-1], data) >= 0 {
			return fmt.Errorf("%w: its blocks stand in the wrong order", ErrMalformed)
		}
	}
	return nil
}

// Verify checks that p proves a fork, with the blocks in it and no others.
func Verify(ctx context.Context, p *state.Proof) error {
	err := p.Verify(ctx, store.NewMemory())
	if missing := (*store.MissingError)(nil); errors.As(err, &missing) {
		return fmt.Errorf("%w: it lacks block %s, which it takes to check it", ErrMalformed, missing.Cid)
	}
	return err
}
