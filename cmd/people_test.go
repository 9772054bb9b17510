package cmd_test

import (
	"bufio"
	"bytes"
	"compress/zlib"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"archivecache/identity"
	"archivecache/repo"
	"archivecache/store"

	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	gocar "github.com/ipld/go-car/v2"
	"github.com/rogpeppe/go-internal/testscript"
)

// people makes a repository with the identity identities/me for each name, and sets the variable of
// that name to the id.
func people(ts *testscript.TestScript, neg bool, names []string) {
	for _, name := range names {
		_, err := output(ts, "initialize", "-repo", name)
		ts.Check(err)
		id, err := output(ts, "new-identity", "-repo", name, "identities/me")
		ts.Check(err)
		ts.Setenv(name, strings.TrimSpace(id))
	}
}

// friends makes everybody that is named accept everybody else.
func friends(ts *testscript.TestScript, neg bool, names []string) {
	for _, from := range names {
		for _, to := range names {
			if from != to {
				pipe(ts, fmt.Sprintf("message-read-reference -repo %s identities/me | add-friend-from-message -repo %s", from, to))
			}
		}
	}
}

// publish makes each of those named publish.
func publish(ts *testscript.TestScript, neg bool, names []string) {
	for _, name := range names {
		_, err := output(ts, "new-node", "-repo", name, "node", "identities/me")
		ts.Check(err)
	}
}

// grow adds a key to each of those named, as rotate-identity leaves them that is killed before its
// commit.
func grow(ts *testscript.TestScript, neg bool, names []string) {
	for _, name := range names {
		id, err := cid.Decode(ts.Getenv(name))
		ts.Check(err)
		_, err = identity.OpenKeyring(ts.MkAbs(name+"/keys")).Update(id, nil, (*identity.Secret).Grow)
		ts.Check(err)
	}
}

// send sends the node of the first to the others, as text.
func send(ts *testscript.TestScript, neg bool, names []string) {
	for _, to := range names[1:] {
		pipe(ts, fmt.Sprintf("message-read-reference -repo %s node | base64 -w 60 | add-node-from-message -repo %s", names[0], to))
	}
}

// carry sends the node of the first to the others, and all its blocks as a CAR file.
func carry(ts *testscript.TestScript, neg bool, names []string) {
	for _, to := range names[1:] {
		pipe(ts, fmt.Sprintf("export-car -repo %s node | import-car -repo %s", names[0], to))
	}
	send(ts, neg, names)
}

func pipe(ts *testscript.TestScript, script string) {
	cmd := exec.Command("bash", "-e", "-o", "pipefail", "-c", script)
	cmd.Dir, cmd.Env = ts.MkAbs("."), environment(ts)
	if out, err := cmd.CombinedOutput(); err != nil {
		ts.Fatalf("%s: %v\n%s", script, err, out)
	}
}

// serve runs serve on the repository until the story ends, and sets the variable to its address.
func serve(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: serve VARIABLE REPO [OPTION]...")
	}
	cmd := exec.Command(filepath.Join(bin, "serve"), append([]string{"-repo", args[1], "-listen", "127.0.0.1:0"}, args[2:]...)...)
	cmd.Dir, cmd.Env = ts.MkAbs("."), environment(ts)
	stdout, err := cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	ts.Defer(func() {
		cmd.Process.Signal(os.Interrupt)
		cmd.Wait()
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	ts.Check(err)
	ts.Setenv(args[0], strings.TrimSpace(line))
}

// fetch asks for a URL, as the named host if there is one, which has to answer with a status. The answer is in the file,
// and its header in file.header.
func fetch(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 3 {
		ts.Fatalf("usage: fetch STATUS URL FILE [HOST]")
	}
	req, err := http.NewRequest(http.MethodGet, args[1], nil)
	ts.Check(err)
	req.Header.Set("Accept", "text/html,*/*;q=0.8")
	if len(args) > 3 {
		req.Host = args[3]
	}
	resp, err := http.DefaultClient.Do(req)
	ts.Check(err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	ts.Check(err)
	if fmt.Sprint(resp.StatusCode) != args[0] {
		ts.Fatalf("%s: %s: %.300s", args[1], resp.Status, body)
	}
	var header bytes.Buffer
	ts.Check(resp.Header.Write(&header))
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), body, 0o644))
	ts.Check(os.WriteFile(ts.MkAbs(args[2]+".header"), header.Bytes(), 0o644))
}

// saveCid sets a variable to the CID of what stands at a path.
func saveCid(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: cid VARIABLE REPO PATH")
	}
	ts.Setenv(args[0], rootOf(ts, args[1], args[2]))
}

// same checks that all the repositories have the same root and list the same names in the forum.
func same(ts *testscript.TestScript, neg bool, repos []string) {
	for _, repo := range repos[1:] {
		if a, b := rootOf(ts, repos[0], "root"), rootOf(ts, repo, "root"); a != b {
			ts.Fatalf("the root of %s is %s, and that of %s %s", repos[0], a, repo, b)
		}
	}
}

// differ checks that two repositories have different roots.
func differ(ts *testscript.TestScript, neg bool, repos []string) {
	if a, b := rootOf(ts, repos[0], "root"), rootOf(ts, repos[1], "root"); a == b {
		ts.Fatalf("%s and %s have the same root", repos[0], repos[1])
	}
}

// bomb writes a message of 1 GB of zeros.
func bomb(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: bomb FILE")
	}
	var b bytes.Buffer
	w, err := zlib.NewWriterLevel(&b, zlib.BestCompression)
	ts.Check(err)
	_, err = io.Copy(w, io.LimitReader(zeros{}, 1_000_000_000))
	ts.Check(err)
	ts.Check(w.Close())
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), b.Bytes(), 0o644))
}

// zeros reads as zeros without end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// withhold is carry from one person to another, but for what rotations name.
func withhold(ts *testscript.TestScript, neg bool, names []string) {
	if len(names) != 2 {
		ts.Fatalf("usage: withhold FROM TO")
	}
	pipe(ts, fmt.Sprintf("export-car -repo %s node > withheld.car", names[0]))
	car, err := os.Open(ts.MkAbs("withheld.car"))
	ts.Check(err)
	defer car.Close()
	r, err := repo.Open(ts.MkAbs(names[1]))
	ts.Check(err)
	defer r.Close()
	ts.Check(copyBlocks(r.Store().Writer(), car, func(b blocks.Block) bool {
		return !bytes.Contains(b.RawData(), []byte("eplace")) || !bytes.Contains(b.RawData(), []byte("ireference"))
	}))
	send(ts, neg, names)
}

// copyBlocks puts those blocks of a CAR file that only chooses into w.
func copyBlocks(w store.Writer, car io.Reader, only func(blocks.Block) bool) error {
	defer w.Close()
	all, err := gocar.NewBlockReader(car)
	if err != nil {
		return err
	}
	for {
		b, err := all.Next()
		switch {
		case err == io.EOF:
			return w.Commit(context.Background())
		case err != nil:
			return err
		case !only(b):
			continue
		}
		if err := w.Put(context.Background(), store.Block{Cid: b.Cid(), Data: b.RawData()}); err != nil {
			return err
		}
	}
}

// carTrim copies a CAR file without the blocks that have a text in them.
func carTrim(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: cartrim FROM TO TEXT")
	}
	rewriteCAR(ts, args[0], args[1], func(b blocks.Block) bool { return !bytes.Contains(b.RawData(), []byte(args[2])) }, 0)
}

// carJunk copies a CAR file and puts 100,000 blocks before its own.
func carJunk(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: carjunk FROM TO")
	}
	rewriteCAR(ts, args[0], args[1], func(blocks.Block) bool { return true }, 100_000)
}

func rewriteCAR(ts *testscript.TestScript, from, to string, only func(blocks.Block) bool, junk int) {
	data, err := os.ReadFile(ts.MkAbs(from))
	ts.Check(err)
	size, n := binary.Uvarint(data)
	var out bytes.Buffer
	out.Write(data[:n+int(size)]) // the header
	put := func(c cid.Cid, data []byte) {
		out.Write(binary.AppendUvarint(nil, uint64(c.ByteLen()+len(data))))
		out.Write(c.Bytes())
		out.Write(data)
	}
	for i := range junk {
		b := store.NewBlock(cid.Raw, fmt.Append(nil, "junk ", i))
		put(b.Cid, b.Data)
	}
	all, err := gocar.NewBlockReader(bytes.NewReader(data))
	ts.Check(err)
	for {
		b, err := all.Next()
		if err == io.EOF {
			break
		}
		ts.Check(err)
		if only(b) {
			put(b.Cid(), b.RawData())
		}
	}
	ts.Check(os.WriteFile(ts.MkAbs(to), out.Bytes(), 0o644))
}
