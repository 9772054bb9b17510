package kubo_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"archivecache/internal/kubotest"
	"archivecache/store"
	"archivecache/store/kubo"
	"archivecache/store/storetest"

	"github.com/ipfs/go-cid"
)

// soon bounds a test whose call has to end by itself long before.
func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// wantError checks what an error is and says.
func wantError(t *testing.T, err error, is error, says ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	if errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("it was the test that ended the call: %v", err)
	}
	if is != nil && !errors.Is(err, is) {
		t.Errorf("error %q is not %q", err, is)
	}
	for _, s := range says {
		if !strings.Contains(err.Error(), s) {
			t.Errorf("error %q does not say %q", err, s)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	k := kubotest.Daemon(t) // one that is offline has no port for its peers
	gateway := strings.TrimPrefix(k.Gateway, "http://127.0.0.1:")
	t.Setenv("IPFS_PATH", t.TempDir())
	swarm := strings.Split(k.Run("id", "-f", "<addrs>"), "/p2p/")[0]
	for name, c := range map[string]struct {
		api  string
		is   error
		says string
	}{
		"nobody":           {kubotest.Nobody(t), kubo.ErrUnreachable, "connection refused"},
		"no answer":        {kubotest.NoAnswer(t), kubo.ErrUnreachable, "no answer for 200ms"},
		"no api file":      {"", kubo.ErrUnreachable, "there is no file"},
		"no such socket":   {"/unix/nowhere/api.sock", kubo.ErrUnreachable, "no such file"},
		"another server":   {kubotest.NotKubo(t), kubo.ErrNotKubo, "invalid character"},
		"the gateway":      {"/ip4/127.0.0.1/tcp/" + gateway, kubo.ErrNotKubo, "HTTP status 404"},
		"the swarm port":   {swarm, nil, "version"},
		"too old":          {kubotest.Faulty(t, k, kubotest.Version("0.39.9")), kubo.ErrTooOld, "0.39.9, and at least 0.40.0"},
		"no version":       {kubotest.Faulty(t, k, kubotest.Version("banana")), kubo.ErrNotKubo, "banana"},
		"guarded":          {kubotest.Faulty(t, k, kubotest.Status(403)), kubo.ErrDenied, "403 - Forbidden"},
		"a proxy's 500":    {kubotest.Faulty(t, k, kubotest.Status(500)), kubo.ErrNotKubo, "HTTP status 500"},
		"kubo's 500":       {kubotest.Faulty(t, k, kubotest.Error500("out of paper")), nil, "version: out of paper"},
		"redirect":         {kubotest.Faulty(t, k, kubotest.Status(302)), kubo.ErrNotKubo, "HTTP status 302"},
		"half an answer":   {kubotest.Faulty(t, k, kubotest.CutAnswer(5, "version")), kubo.ErrUnreachable, "cut"},
		"hangs":            {kubotest.Faulty(t, k, kubotest.Hang()), kubo.ErrUnreachable, "no answer"},
		"hangs after head": {kubotest.Faulty(t, k, kubotest.HangAfterHeaders()), kubo.ErrUnreachable, "no answer"},
		"endless":          {kubotest.Faulty(t, k, kubotest.Longer(2<<20, "version")), kubo.ErrNotKubo, "too long"},
		"no multiaddr":     {"localhost:5001", nil, `"localhost:5001"`},
		"udp":              {"/ip4/127.0.0.1/udp/5001", nil, "/tcp/PORT"},
		"long URL":         {"http://127.0.0.1:5001/webui", nil, "and no more"},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := kubo.Open(soon(t), c.api, kubo.Options{Name: "x", Timeout: 200 * time.Millisecond})
			if err == nil {
				d.Close()
			}
			wantError(t, err, c.is, c.says, c.api)
		})
	}
	for _, name := range []string{"", "a/b", "-a", "a b", "a\n", strings.Repeat("a", 65)} {
		_, err := kubo.Open(soon(t), k.API, kubo.Options{Name: name})
		wantError(t, err, kubo.ErrName)
	}
}

func TestOpen(t *testing.T) {
	k := kubotest.Daemon(t, kubotest.Offline)
	t.Setenv("IPFS_PATH", k.Dir)
	port := k.API[strings.LastIndex(k.API, "/")+1:]
	for _, api := range []string{"", k.API, "http://127.0.0.1:" + port, "http://localhost:" + port + "/", "/dns4/localhost/tcp/" + port, k.API + "/http"} {
		d := open(t, api, "some.name-1")
		if api != "" && d.Address() != api || d.Address() == "" {
			t.Errorf("Open(%q): Address %q", api, d.Address())
		}
		peer, addresses, err := d.ID(t.Context())
		if err != nil || peer != k.Peer || d.Version() != "0.43.0" {
			t.Errorf("ID: %q at %q, version %s, %v", peer, addresses, d.Version(), err)
		}
	}
}

// TestWriteFaults: whatever goes wrong on the way up is an error of Commit, and after Close the
// daemon keeps nothing.
func TestWriteFaults(t *testing.T) {
	k := kubotest.Daemon(t, kubotest.Offline)
	for name, c := range map[string]struct {
		fault kubotest.Fault
		is    error
		says  string
	}{
		"import fails":          {kubotest.Error500("import failed: no paper", "dag/import"), nil, "dag/import: import failed: no paper"},
		"disk full":             {kubotest.DiskFull(), kubo.ErrFull, "no space left on device"},
		"status 500":            {kubotest.Status(500, "dag/import"), nil, "HTTP status 500"},
		"denied":                {kubotest.Status(403, "dag/import"), kubo.ErrDenied, "403"},
		"hangs":                 {kubotest.Hang("dag/import"), kubo.ErrUnreachable, "no answer for 1s"},
		"hangs after head":      {kubotest.HangAfterHeaders("dag/import"), kubo.ErrUnreachable, "no answer for 1s"},
		"cut on the way up":     {kubotest.CutRequest(1000, "dag/import"), kubo.ErrUnreachable, "cut"},
		"cut before the answer": {kubotest.CutAnswer(-1, "dag/import"), kubo.ErrUnreachable, "cut"},
		"cut in the answer":     {kubotest.CutAnswer(10, "dag/import"), kubo.ErrUnreachable, "cut"},
		"error behind it":       {kubotest.Trailer("late trouble", "dag/import"), nil, "late trouble"},
		"full behind it":        {kubotest.Trailer("write: no space left on device", "dag/import"), kubo.ErrFull, ""},
		"empty answer":          {kubotest.Answer("application/json", "", "dag/import"), nil, "does not say"},
		"not pinned":            {kubotest.Answer("application/json", `{"Stats":{"BlockCount":6}}`, "dag/import"), nil, "does not say"},
		"another root":          {kubotest.Answer("application/json", `{"Root":{"Cid":{"/":"bafkqaaa"},"PinErrorMsg":""}}`, "dag/import"), nil, "bafkqaaa"},
		"other JSON":            {kubotest.Answer("application/json", `{"Hello":1}`, "dag/import"), nil, "nothing known"},
		"no JSON":               {kubotest.Answer("application/json", `<html>`, "dag/import"), nil, "invalid character"},
		"endless answer":        {kubotest.Longer(1<<20, "dag/import"), nil, "too long"},
		"name fails":            {kubotest.Error500("no names", "pin/add"), nil, "pin/add: no names"},
		"name hangs":            {kubotest.Hang("pin/add"), kubo.ErrUnreachable, "no answer for 1s"},
		"name is cut":           {kubotest.CutAnswer(3, "pin/add"), kubo.ErrUnreachable, "cut"},
		"name with late error":  {kubotest.Trailer("pin: too late", "pin/add"), nil, "too late"},
		"name without a word":   {kubotest.Answer("application/json", "{}", "pin/add"), nil, "does not say"},
		"name without progress": {kubotest.Answer("application/json", strings.Repeat(`{"Progress":0}`+"\n", 1000), "pin/add"), nil, "does not say"},
	} {
		t.Run(name, func(t *testing.T) {
			api := kubotest.Faulty(t, k, c.fault)
			d := openWith(t, api, kubo.Options{Name: "faults", Timeout: 200 * time.Millisecond})
			blocks := append(storetest.Blocks(500, 4, 10_000), storetest.Blocks(501, 1, 1_000_000)...)
			w := d.Store().Writer()
			for _, b := range blocks {
				if err := w.Put(soon(t), b); err != nil {
					t.Fatal(err)
				}
			}
			wantError(t, w.Commit(soon(t)), c.is, c.says, api)
			wantError(t, w.Commit(soon(t)), c.is, c.says, api) // no less when it is tried again
			if err := w.Close(); err != nil {
				t.Error(err)
			}
			wantNoPins(t, k)
		})
	}
	k.Run("repo", "gc")
	if n := strings.Count(k.Run("refs", "local"), "\n"); n > 5 { // what init has put there
		t.Errorf("%d blocks are left", n)
	}
}

// wantNoPins checks that the daemon pins nothing but what a new one does.
func wantNoPins(t *testing.T, k *kubotest.Kubo) {
	t.Helper()
	if pins := strings.Split(k.Run("pin", "ls", "--type=recursive", "--names"), "\n"); len(pins) != 1 {
		t.Errorf("pins are left: %q", pins)
	}
}

// TestCommitAgain: a fault that passes leaves a Writer that can still commit.
func TestCommitAgain(t *testing.T) {
	k := kubotest.Daemon(t, kubotest.Offline)
	d := openWith(t, k.API, kubo.Options{Name: "again", Timeout: 10 * time.Second})
	blocks := append(storetest.Blocks(510, 10, 1<<20), storetest.Blocks(511, 100, 100)...)
	w := d.Store().Writer()
	defer w.Close()
	k.Stop()
	var failed error
	for _, b := range blocks {
		if failed == nil {
			failed = w.Put(t.Context(), b)
		}
	}
	if failed != nil {
		t.Fatal(failed) // ten blocks are one batch on the way and one that waits
	}
	wantError(t, w.Commit(soon(t)), kubo.ErrUnreachable, "connection refused")
	k.Start()
	if err := w.Commit(soon(t)); err != nil {
		t.Fatal(err)
	}
	k.Run("repo", "gc")
	storetest.Want(t, d.Store(), blocks...)
}

// TestPutTells: a long batch does not go on for long after its beginning has failed.
func TestPutTells(t *testing.T) {
	k := kubotest.Daemon(t, kubotest.Offline)
	d := open(t, kubotest.Faulty(t, k, kubotest.DiskFull()), "full")
	w := d.Store().Writer()
	defer w.Close()
	for _, b := range storetest.Blocks(512, 60, 1<<20) {
		if err := w.Put(soon(t), b); err != nil {
			wantError(t, err, kubo.ErrFull, "put block", "no space left")
			return
		}
	}
	t.Error("60 MiB were taken though nothing arrives")
}

func TestReadFaults(t *testing.T) {
	k := kubotest.Daemon(t, kubotest.Offline)
	b := storetest.Blocks(520, 1, 100_000)[0]
	storetest.Put(t, open(t, k.API, "reads").Store(), b)
	var mismatch *store.MismatchError
	for name, c := range map[string]struct {
		fault kubotest.Fault
		is    error
		says  string
	}{
		"wrong bytes":      {kubotest.WrongBytes("block/get"), nil, "do not match the hash"},
		"no bytes":         {kubotest.Answer("application/vnd.ipld.raw", "", "block/get"), nil, "do not match the hash"},
		"too many bytes":   {kubotest.Longer(3<<20, "block/get"), nil, "too long: more than 2097152 bytes"},
		"error 500":        {kubotest.Error500("flatfs: bad sector", "block/get"), nil, "block/get: flatfs: bad sector"},
		"almost missing":   {kubotest.Error500("ipld: could not find bafkqaaa", "block/get"), nil, "bafkqaaa"},
		"status 404":       {kubotest.Status(404, "block/get"), nil, "HTTP status 404"},
		"a web page":       {kubotest.Answer("text/html", "<html>", "block/get"), nil, "do not match"},
		"no content type":  {kubotest.Answer("", "x", "block/get"), nil, "content type"},
		"denied":           {kubotest.Status(403, "block/get"), kubo.ErrDenied, ""},
		"hangs":            {kubotest.Hang("block/get"), kubo.ErrUnreachable, "no answer for 200ms"},
		"hangs after head": {kubotest.HangAfterHeaders("block/get"), kubo.ErrUnreachable, "no answer for 200ms"},
		"cut":              {kubotest.CutAnswer(1000, "block/get"), kubo.ErrUnreachable, "cut"},
		"cut at once":      {kubotest.CutAnswer(-1, "block/get"), kubo.ErrUnreachable, "cut"},
		"error behind it":  {kubotest.Trailer("disk on fire", "block/get"), nil, "disk on fire"},
	} {
		t.Run(name, func(t *testing.T) {
			api := kubotest.Faulty(t, k, c.fault)
			d := openWith(t, api, kubo.Options{Name: "reads", Timeout: 200 * time.Millisecond})
			check := func(data []byte, err error) {
				t.Helper()
				wantError(t, err, c.is, c.says, api, "block/get")
				if data != nil || errors.Is(err, store.ErrNotFound) {
					t.Errorf("%d bytes, %v", len(data), err)
				}
				if wrong := strings.Contains(c.says, "match the hash"); wrong && !errors.As(err, &mismatch) {
					t.Errorf("%v is no MismatchError", err)
				}
			}
			check(d.Store().Get(soon(t), b.Cid))
			check(d.Fetch(soon(t), b.Cid))
			err := d.Store().GetMany(soon(t), []cid.Cid{b.Cid, b.Cid}, func(i int, data []byte, err error) error {
				check(data, err)
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// TestQuestionFaults: the calls that only ask.
func TestQuestionFaults(t *testing.T) {
	k := kubotest.Daemon(t, kubotest.Offline)
	b := storetest.Blocks(530, 1, 1000)[0]
	storetest.Put(t, open(t, k.API, "asks").Store(), b)
	calls := []string{"block/stat", "pin/ls", "pin/rm", "block/put", "pin/add", "refs", "id"}
	asks := map[string]func(context.Context, *kubo.Daemon) error{
		"Has": func(ctx context.Context, d *kubo.Daemon) error {
			_, err := d.Store().Has(ctx, []cid.Cid{b.Cid})
			return err
		},
		"Pins": func(ctx context.Context, d *kubo.Daemon) error {
			for _, err := range d.Pins(ctx) {
				if err != nil {
					return err
				}
			}
			return nil
		},
		"Each": func(ctx context.Context, d *kubo.Daemon) error {
			return d.Store().Each(ctx, func(store.Digest, int64) error { return nil })
		},
		"Compact": func(ctx context.Context, d *kubo.Daemon) error {
			_, err := d.Store().Compact(ctx, kubo.CompactOptions{Keep: func(store.Digest) bool { return false }})
			return err
		},
		"Pin":   func(ctx context.Context, d *kubo.Daemon) error { return d.Pin(ctx, b.Cid, "x", true) },
		"Unpin": func(ctx context.Context, d *kubo.Daemon) error { return d.Unpin(ctx, b.Cid, "x") },
		"ID": func(ctx context.Context, d *kubo.Daemon) error {
			_, _, err := d.ID(ctx)
			return err
		},
	}
	for name, c := range map[string]struct {
		fault kubotest.Fault
		is    error
		says  string
	}{
		"error 500":        {kubotest.Error500("out of order", calls...), nil, "out of order"},
		"status 500":       {kubotest.Status(500, calls...), nil, "HTTP status 500"},
		"hangs":            {kubotest.Hang(calls...), kubo.ErrUnreachable, "no answer"},
		"hangs after head": {kubotest.HangAfterHeaders(calls...), kubo.ErrUnreachable, "no answer"},
		"error behind it":  {kubotest.Trailer("too late", calls...), nil, ""},
		"cut":              {kubotest.CutAnswer(3, calls...), kubo.ErrUnreachable, "cut"},
		"no JSON":          {kubotest.Answer("application/json", "<html>", calls...), nil, "invalid character"},
		"other JSON":       {kubotest.Answer("application/json", `{"Some":"thing"}`, calls...), nil, ""},
		"endless":          {kubotest.Answer("application/json", strings.Repeat(" ", 2<<20), calls...), nil, "too long"},
	} {
		t.Run(name, func(t *testing.T) {
			api := kubotest.Faulty(t, k, c.fault)
			d := openWith(t, api, kubo.Options{Name: "asks", Timeout: 100 * time.Millisecond})
			for what, ask := range asks {
				err := ask(soon(t), d)
				if err == nil {
					t.Errorf("%s: no error", what)
					continue
				}
				wantError(t, err, c.is, c.says, api)
			}
		})
	}
	storetest.Want(t, open(t, k.API, "asks").Store(), b)
}

// TestSmallDisk fills the disk of a real daemon.
func TestSmallDisk(t *testing.T) {
	k := kubotest.Daemon(t, kubotest.Offline, kubotest.At(kubotest.SmallDisk(t, "24m")))
	s := open(t, k.API, "disk").Store()
	kept := storetest.Blocks(540, 4, 1<<20)
	storetest.Put(t, s, kept...)
	w := s.Writer()
	defer w.Close()
	var err error
	for _, b := range storetest.Blocks(541, 40, 1<<20) {
		if err == nil {
			err = w.Put(t.Context(), b)
		}
	}
	if err == nil {
		err = w.Commit(t.Context())
	}
	wantError(t, err, kubo.ErrFull, k.API, "no space left on device")
	w.Close()
	k.Run("repo", "gc")
	storetest.Want(t, s, kept...)
	storetest.Put(t, s, storetest.Blocks(542, 2, 1<<20)...) // there is space again
}

// TestDaemonDies: it is killed with imports on their way, and what was committed is there when it
// comes back.
func TestDaemonDies(t *testing.T) {
	k := kubotest.Daemon(t, kubotest.Offline)
	d := openWith(t, k.API, kubo.Options{Name: "dies", Timeout: 5 * time.Second})
	kept := storetest.Blocks(550, 100, 1000)
	storetest.Put(t, d.Store(), kept...)
	w := d.Store().Writer()
	var err error
	for i, b := range storetest.Blocks(551, 60, 1<<20) {
		if i == 30 {
			k.Kill()
		}
		if err == nil {
			err = w.Put(soon(t), b)
		}
	}
	if err == nil {
		err = w.Commit(soon(t))
	}
	wantError(t, err, kubo.ErrUnreachable, k.API)
	w.Close()
	_, err = d.Store().Get(soon(t), kept[0].Cid)
	wantError(t, err, kubo.ErrUnreachable, "connection refused")
	k.Start()
	k.Run("repo", "gc")
	storetest.Want(t, d.Store(), kept...)
}

// TestSuspended: a daemon that stands still keeps its connections and says nothing.
func TestSuspended(t *testing.T) {
	k := kubotest.Daemon(t, kubotest.Offline)
	d := openWith(t, k.API, kubo.Options{Name: "still", Timeout: 200 * time.Millisecond})
	b := storetest.Blocks(560, 1, 1000)[0]
	w := d.Store().Writer()
	if err := w.Put(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	resume := k.Suspend()
	wantError(t, w.Commit(soon(t)), kubo.ErrUnreachable, "no answer for 1s")
	_, err := d.Store().Get(soon(t), b.Cid)
	wantError(t, err, kubo.ErrUnreachable, "no answer for 200ms")
	resume()
	if err := w.Commit(soon(t)); err != nil {
		t.Fatal(err)
	}
	w.Close()
	storetest.Want(t, d.Store(), b)
}

// TestRestart: connections that were kept are stale after it, and nobody notices.
func TestRestart(t *testing.T) {
	k := kubotest.Daemon(t, kubotest.Offline)
	s := open(t, k.API, "restart").Store()
	blocks := storetest.Blocks(570, 50, 1000)
	storetest.Put(t, s, blocks...)
	storetest.Want(t, s, blocks...)
	k.Restart()
	storetest.Want(t, s, blocks...)
	storetest.Put(t, s, storetest.Blocks(571, 50, 1000)...)
}

// TestSlow: a daemon that is slow, but never silent, is waited for.
func TestSlow(t *testing.T) {
	k := kubotest.Daemon(t, kubotest.Offline)
	b := storetest.Blocks(580, 1, 1000)[0]
	storetest.Put(t, open(t, k.API, "slow").Store(), b)
	pause := func() { time.Sleep(30 * time.Millisecond) } // 100 of them are far longer than the timeout
	d := openWith(t, kubotest.Faulty(t, k, kubotest.Slowly(10, pause, "block/get")), kubo.Options{Name: "slow", Timeout: time.Second})
	if _, err := d.Store().Get(soon(t), b.Cid); err != nil {
		t.Error(err)
	}
}
