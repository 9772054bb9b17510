package name

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/crypto"
)

// ErrOlder is a node that is older than the one to which a name leads.
var ErrOlder = errors.New("the name leads to a newer node")

// A Folder is where a repository keeps its names.
type Folder string

// maxKey is how long a key file may be, in bytes.
const maxKey = 1024

// Key returns the key of the name of an identity, and makes one if there is none.
func (f Folder) Key(identity cid.Cid) (*Key, error) {
	file := filepath.Join(string(f), identity.String()+".key")
	k, err := readKey(file)
	if errors.Is(err, fs.ErrNotExist) {
		if err = f.makeKey(file); err == nil {
			k, err = readKey(file)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("key of the name: %w", err)
	}
	return k, nil
}

func readKey(file string) (*Key, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s: others can read it, or it is no file: run chmod 600 %q", file, file)
	}
	data, err := readFile(file, maxKey)
	if err != nil {
		return nil, err
	}
	k, err := parseKey(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w; without the file there will be a new name", file, err)
	}
	return k, nil
}

// makeKey writes a new key, unless somebody else has meanwhile.
func (f Folder) makeKey(file string) error {
	k, err := Generate()
	if err != nil {
		return err
	}
	data, err := crypto.MarshalPrivateKey(k.private)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(string(f), 0o700); err != nil {
		return err
	}
	return write(file, data, func(from, to string) error {
		if err := os.Link(from, to); !errors.Is(err, fs.ErrExist) {
			return err
		}
		return nil
	})
}

// write makes a durable file that only its owner can read, and gives it its name by place.
func write(file string, data []byte, place func(from, to string) error) error {
	temp, err := os.CreateTemp(filepath.Dir(file), ".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name())
	_, err = temp.Write(data)
	if err = errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return err
	}
	if err := place(temp.Name(), file); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(file))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// Record returns the newest record of a name that was made here; nil if there is none.
func (f Folder) Record(name string) ([]byte, error) {
	name, err := Parse(name)
	if err != nil {
		return nil, err
	}
	data, err := readFile(f.recordFile(name), MaxRecord)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return data, err
}

func (f Folder) recordFile(name string) string { return filepath.Join(string(f), name+".record") }

// Keep keeps a record as the newest of its name. If it leads to an older node than the one that is
// kept, the error is [ErrOlder].
func (f Folder) Keep(name string, data []byte) error {
	next, err := Verify(data, name)
	if err != nil {
		return err
	}
	kept, err := f.Record(name)
	if err != nil {
		return err
	}
	if last, err := Verify(kept, name); (err == nil || errors.Is(err, ErrExpired)) && last.Sequence > next.Sequence {
		return ErrOlder
	}
	return write(f.recordFile(name), data, os.Rename)
}

// readFile reads a file of at most limit bytes.
func readFile(file string, limit int64) ([]byte, error) {
	in, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	data, err := ReadBounded(in, limit)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return data, nil
}

// ReadBounded reads all of r, which may have at most limit bytes.
func ReadBounded(r io.Reader, limit int64) ([]byte, error) {
	var b bytes.Buffer
	n, err := b.ReadFrom(io.LimitReader(r, limit+1))
	if err == nil && n > limit {
		err = fmt.Errorf("more than %d bytes", limit)
	}
	return b.Bytes(), err
}
