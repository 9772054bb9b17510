package dav

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"time"
)

const (
	// maxGuesses is how many passwords are looked at together, and so how many wrong ones in a delay.
	maxGuesses = 4
	// guessDelay is how long each wrong password takes.
	guessDelay = time.Second
	// guessWait is how long a request waits until its password is looked at.
	guessWait = 10 * time.Second
)

// A guard looks at passwords.
type guard struct {
	user     *[sha256.Size]byte // nil is any
	password [sha256.Size]byte
	slots    chan struct{}
}

func newGuard(user, password string) *guard {
	g := &guard{password: sha256.Sum256([]byte(password)), slots: make(chan struct{}, maxGuesses)}
	if user != "" {
		sum := sha256.Sum256([]byte(user))
		g.user = &sum
	}
	return g
}

type verdict int

const (
	wrong verdict = iota
	right
	busy // it was not looked at
)

// check says whether r comes with the right name and password. A wrong one keeps its slot for a
// while, whether or not somebody waits for the answer, so that nobody can try many.
func (g *guard) check(r *http.Request) verdict {
	user, password, ok := r.BasicAuth()
	if !ok {
		return wrong
	}
	timer := time.NewTimer(guessWait)
	defer timer.Stop()
	select {
	case g.slots <- struct{}{}:
	case <-timer.C:
		return busy
	case <-r.Context().Done():
		return busy
	}
	if g.isRight(user, password) {
		<-g.slots
		return right
	}
	time.Sleep(guessDelay)
	<-g.slots
	return wrong
}

func (g *guard) isRight(user, password string) bool {
	sum := sha256.Sum256([]byte(password))
	same := subtle.ConstantTimeCompare(sum[:], g.password[:])
	if g.user != nil {
		sum = sha256.Sum256([]byte(user))
		same &= subtle.ConstantTimeCompare(sum[:], g.user[:])
	}
	return same == 1
}
