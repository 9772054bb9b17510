package local

import (
	"archivecache/repo"
	"archivecache/tree/path"
	"archivecache/tree/state"

	"github.com/ipfs/go-cid"
)

// SelectProofs returns which proofs are meant by the arguments of a command: all without one, else
// those of an author, given as the id or the path of a friend, or those at and below a path.
func SelectProofs(args []string) (func(*state.Proof) bool, error) {
	if len(args) == 0 {
		return func(*state.Proof) bool { return true }, nil
	}
	if id, err := cid.Decode(args[0]); err == nil {
		return ofAuthor(id), nil
	}
	p, err := Path(args[0])
	if err != nil {
		return nil, err
	}
	if _, friend := p.Below(repo.FriendsPath); friend {
		id, err := cid.Decode(p.Base())
		return ofAuthor(id), err
	}
	return func(proof *state.Proof) bool {
		at, err := path.Parse(proof.A.Path)
		if err != nil || proof.A.Path == "" {
			return false
		}
		_, below := at.Below(p)
		return below
	}, nil
}

func ofAuthor(id cid.Cid) func(*state.Proof) bool {
	return func(p *state.Proof) bool { return p.A.Owner.Equals(id) }
}
