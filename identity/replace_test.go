package identity

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// asked returns an Ask, and how often it was called.
func asked(passphrase string) (ask Ask, times *int) {
	times = new(int)
	return func(ID) ([]byte, error) { *times++; return []byte(passphrase), nil }, times
}

// TestReplace goes through a rotation: one key more, then without the first one, in a file with
// and without a passphrase.
func TestReplace(t *testing.T) {
	for name, words := range map[string]string{"plain": "", "sealed": "four words"} {
		dir := t.TempDir()
		k, s := OpenKeyring(dir), generate(t)
		if err := k.Create(s, []byte(words)); err != nil {
			t.Fatal(err)
		}
		ask, times := asked(words)
		ask = Once(ask)
		loaded, err := k.Load(s.ID(), ask)
		if err != nil {
			t.Fatal(err)
		}
		grown := grow(t, loaded)
		for _, step := range []*Secret{grown, grown, grown.From(1)} {
			if err := k.Replace(step, ask); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if got, err := k.Load(s.ID(), ask); err != nil || !bytes.Equal(got.text(), step.text()) {
				t.Errorf("%s: Load = %v, %v", name, got, err)
			}
		}
		if want := min(len(words), 1); *times != want {
			t.Errorf("%s: asked %d times, want %d", name, *times, want)
		}
		data, err := os.ReadFile(k.Path(s.ID()))
		if err != nil || bytes.HasPrefix(data, []byte(KeyHeader)) != (words == "") {
			t.Errorf("%s: the file is %.30q, %v", name, data, err)
		}
		if info, err := os.Stat(k.Path(s.ID())); err != nil || info.Mode() != 0o600 {
			t.Errorf("%s: mode %v, %v; want 0600", name, info.Mode(), err)
		}
		onlyFile(t, dir)
	}
}

// onlyFile checks that a folder has one file and nothing that was left behind.
func onlyFile(t *testing.T, dir string) {
	t.Helper()
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("the folder holds %v, %v; want one file", entries, err)
	}
}

func TestReplaceRefuses(t *testing.T) {
	dir := t.TempDir()
	k, s := OpenKeyring(dir), generate(t)
	if err := k.Replace(s, nil); !errors.Is(err, ErrNoKey) {
		t.Errorf("no file: %v; want %v", err, ErrNoKey)
	}
	grown := grow(t, s)
	if err := k.Create(grown, []byte("a")); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(k.Path(s.ID()))
	if err != nil {
		t.Fatal(err)
	}
	current, next := s.Split(1)
	nobody := errors.New("nobody there")
	for name, test := range map[string]struct {
		s    *Secret
		ask  Ask
		want error
	}{
		"wrong passphrase":              {grown.From(1), answer("b"), ErrWrongPassphrase},
		"nobody to ask":                 {grown.From(1), nil, ErrNeedPassphrase},
		"failing ask":                   {grown.From(1), func(ID) ([]byte, error) { return nil, nobody }, nobody},
		"without the last key":          {s, answer("a"), ErrKeyLost},
		"without the last two":          {current, answer("a"), ErrKeyLost},
		"without the last, next only":   {next, answer("a"), ErrKeyLost},
		"with another key of the epoch": {grow(t, s), answer("a"), ErrKeyLost},
	} {
		if err := k.Replace(test.s, test.ask); !errors.Is(err, test.want) || !strings.Contains(err.Error(), k.Path(s.ID())) {
			t.Errorf("%s: %v; want %v with the file", name, err, test.want)
		}
	}
	for name, change := range map[string]func(*Secret) (*Secret, error){
		"no key left":      func(s *Secret) (*Secret, error) { return s.From(3), nil },
		"another identity": func(*Secret) (*Secret, error) { return generate(t), nil },
	} {
		if _, err := k.Update(s.ID(), answer("a"), change); !errors.Is(err, ErrKeyLost) {
			t.Errorf("%s: %v; want %v", name, err, ErrKeyLost)
		}
	}
	if _, err := k.Update(s.ID(), answer("a"), func(*Secret) (*Secret, error) { return nil, nobody }); !errors.Is(err, nobody) {
		t.Errorf("failing change: %v; want %v", err, nobody)
	}
	after, err := os.ReadFile(k.Path(s.ID()))
	if err != nil || !bytes.Equal(before, after) {
		t.Errorf("the file has changed, %v", err)
	}
	onlyFile(t, dir)
}

// TestReplaceKilled has what processes leave behind that are killed while they write.
func TestReplaceKilled(t *testing.T) {
	dir := t.TempDir()
	k, s := OpenKeyring(dir), generate(t)
	if err := k.Create(s, nil); err != nil {
		t.Fatal(err)
	}
	grown := grow(t, s)
	for n := 0; n <= len(grown.text()); n += 7 {
		f, err := os.CreateTemp(dir, temporary)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write(grown.text()[:n]); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	if got, err := k.Load(s.ID(), nil); err != nil || !bytes.Equal(got.text(), s.text()) {
		t.Errorf("Load beside what was left: %v, %v", got, err)
	}
	if ids, err := k.List(); err != nil || len(ids) != 1 {
		t.Errorf("List beside what was left: %v, %v", ids, err)
	}
	if err := k.Replace(grown, nil); err != nil {
		t.Error(err)
	}
	if got, err := k.Load(s.ID(), nil); err != nil || !bytes.Equal(got.text(), grown.text()) {
		t.Errorf("Load of what was written then: %v, %v", got, err)
	}
}

// TestReplaceReaders reads all the time while the key is replaced: the file is always whole.
func TestReplaceReaders(t *testing.T) {
	k, s := OpenKeyring(t.TempDir()), generate(t)
	if err := k.Create(s, nil); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var wait sync.WaitGroup
	wait.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			got, err := k.Load(s.ID(), nil)
			if err != nil {
				t.Errorf("Load meanwhile: %v", err)
				return
			}
			if n := len(got.epochs()); n != 2 && n != 3 {
				t.Errorf("Load meanwhile finds %d keys, want 2 or 3", n)
			}
		}
	})
	for range 20 {
		if _, err := k.Update(s.ID(), nil, (*Secret).Grow); err != nil {
			t.Error(err)
		}
		if _, err := k.Update(s.ID(), nil, func(s *Secret) (*Secret, error) {
			first, _ := s.Epochs()
			return s.From(first + 1), nil
		}); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	wait.Wait()
}

// TestUpdateTogether has several processes add a key each: none gets lost.
func TestUpdateTogether(t *testing.T) {
	dir := t.TempDir()
	s := generate(t)
	if err := OpenKeyring(dir).Create(s, []byte("a")); err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			ask, times := asked("a")
			if _, err := OpenKeyring(dir).Update(s.ID(), ask, (*Secret).Grow); err != nil || *times != 1 {
				t.Errorf("asked %d times, %v", *times, err)
			}
		})
	}
	wait.Wait()
	got, err := OpenKeyring(dir).Load(s.ID(), answer("a"))
	if err != nil {
		t.Fatal(err)
	}
	checkEpochs(t, "after 8 of them", got, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9)
	if !got.Has(s) {
		t.Error("the first keys are others")
	}
	onlyFile(t, dir)
}

// TestReplaceLink has the key on a stick, to which a symbolic link leads: it must not come into
// the key folder.
func TestReplaceLink(t *testing.T) {
	dir := t.TempDir()
	k, stick, s := OpenKeyring(filepath.Join(dir, "keys")), OpenKeyring(filepath.Join(dir, "stick")), generate(t)
	if err := stick.Create(s, nil); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "keys"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(stick.Path(s.ID()), k.Path(s.ID())); err != nil {
		t.Fatal(err)
	}
	grown := grow(t, s)
	if err := k.Replace(grown, nil); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(k.Path(s.ID())); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link has become %v, %v", info.Mode(), err)
	}
	if got, err := stick.Load(s.ID(), nil); err != nil || !bytes.Equal(got.text(), grown.text()) {
		t.Errorf("the key on the stick: %v, %v", got, err)
	}
}

func TestOnce(t *testing.T) {
	if Once(nil) != nil {
		t.Error("of nobody to ask it makes somebody")
	}
	broken := errors.New("broken")
	calls := map[ID]int{}
	a, b := generate(t).ID(), generate(t).ID()
	ask := Once(func(id ID) ([]byte, error) {
		calls[id]++
		if calls[id] == 1 {
			return nil, broken
		}
		return []byte(id.String()), nil
	})
	for _, id := range []ID{a, b} {
		if _, err := ask(id); !errors.Is(err, broken) {
			t.Errorf("first answer: %v; want %v", err, broken)
		}
		for range 3 {
			if answer, err := ask(id); err != nil || string(answer) != id.String() {
				t.Errorf("answer %q, %v; want %s", answer, err, id)
			}
		}
		if calls[id] != 2 {
			t.Errorf("asked %d times, want 2: an error is not an answer", calls[id])
		}
	}
}
