package embedded

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"archivecache/internal/sqlite"
	"archivecache/store"
	"archivecache/store/storetest"
)

// TestMain lets the tests start this binary as further processes that write.
func TestMain(m *testing.M) {
	if dir := os.Getenv("EMBEDDED_TEST_DIR"); dir != "" {
		first, _ := strconv.Atoi(os.Getenv("EMBEDDED_TEST_FIRST"))
		batches, _ := strconv.Atoi(os.Getenv("EMBEDDED_TEST_BATCHES"))
		if err := writeBatches(dir, uint64(first), batches); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if dir := os.Getenv("EMBEDDED_TEST_SWEEP"); dir != "" {
		fmt.Fprintln(os.Stderr, sweepChild(dir, os.Getenv("EMBEDDED_TEST_STEP")))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// batch returns the blocks of batch n: small ones, and in every third batch enough for a segment.
func batch(n uint64) []store.Block {
	blocks := append(storetest.Blocks(3*n, 5, 300), storetest.Blocks(3*n+1, 3, 3000)...)
	if n%3 == 0 {
		blocks = append(blocks, storetest.Blocks(3*n+2, 5, 40_000)...)
	}
	return blocks
}

// writeBatches puts the batches from first on, and prints the number of each once it is committed.
// Every tenth begins with the store opened anew.
func writeBatches(dir string, first uint64, batches int) error {
	for done := 0; done < batches; done += 10 {
		db, err := sqlite.Open(filepath.Join(dir, "db"))
		if err != nil {
			return err
		}
		s, err := New(db, filepath.Join(dir, "segments"))
		if err != nil {
			return err
		}
		w := s.Writer()
		for i := done; i < min(done+10, batches); i++ {
			n := first + uint64(i)
			for _, b := range batch(n) {
				if err := w.Put(context.Background(), b); err != nil {
					return err
				}
			}
			if err := w.Commit(context.Background()); err != nil {
				return err
			}
			fmt.Println(n)
		}
		if err := errors.Join(w.Close(), s.Close(), db.Close()); err != nil {
			return err
		}
	}
	return nil
}

// child starts a process that writes batches in dir.
func child(t *testing.T, dir string, first uint64, batches int) (*exec.Cmd, *bufio.Reader) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "EMBEDDED_TEST_DIR="+dir,
		fmt.Sprint("EMBEDDED_TEST_FIRST=", first), fmt.Sprint("EMBEDDED_TEST_BATCHES=", batches))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, bufio.NewReader(out)
}

// acknowledged reads the numbers that a child prints until it ends. A number without its newline
// does not count.
func acknowledged(t *testing.T, out *bufio.Reader) (numbers []uint64) {
	t.Helper()
	for {
		line, err := out.ReadString('\n')
		if err == io.EOF {
			return numbers
		}
		n, perr := strconv.ParseUint(line[:max(0, len(line)-1)], 10, 64)
		if err != nil || perr != nil {
			t.Errorf("the child printed %q, %v", line, err)
			return numbers
		}
		numbers = append(numbers, n)
	}
}

// TestProcesses has eight processes write into a store that none of them has made before, while
// this one reads.
func TestProcesses(t *testing.T) {
	dir := t.TempDir()
	const writers, batches = 8, 25
	results := make(chan []uint64, writers)
	var wg sync.WaitGroup
	for i := range uint64(writers) {
		// Two processes each write the same blocks.
		cmd, out := child(t, dir, 1000*(i/2), batches)
		wg.Go(func() {
			numbers := acknowledged(t, out)
			if err := cmd.Wait(); err != nil {
				t.Errorf("writer: %v", err)
			}
			results <- numbers
		})
	}
	s := openIn(t, dir)
	stop, reads := make(chan bool), 0
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			n := uint64(reads%4*1000 + reads/4%batches)
			for _, b := range batch(n) {
				if _, err := s.Get(t.Context(), b.Cid); err != nil && !errors.Is(err, store.ErrNotFound) {
					t.Errorf("read while others write: %v", err)
				}
			}
			reads++
		}
	})
	total := 0
	for range writers {
		numbers := <-results
		total += len(numbers)
		for _, n := range numbers {
			storetest.Want(t, s, batch(n)...)
		}
	}
	close(stop)
	wg.Wait()
	if total != writers*batches {
		t.Errorf("%d batches were acknowledged, want %d", total, writers*batches)
	}
	t.Logf("%d batches read meanwhile", reads)
}

// TestKill kills a process that writes at a random moment, many times in one folder. Whatever
// it acknowledged is there, and the next one works.
func TestKill(t *testing.T) {
	kills := 50
	if testing.Short() {
		kills = 10
	}
	dir := t.TempDir()
	var all []uint64
	for i := range kills {
		cmd, out := child(t, dir, uint64(i)*100_000, 100_000)
		time.AfterFunc(5*time.Millisecond+rand.N(60*time.Millisecond), func() { cmd.Process.Kill() })
		numbers := acknowledged(t, out)
		cmd.Wait() // says that it was killed
		s := openIn(t, dir)
		for _, n := range numbers {
			storetest.Want(t, s, batch(n)...)
		}
		if i%2 == 0 { // else the log stays for the next process
			closeAll(t, s)
		}
		all = append(all, numbers...)
	}
	s := openIn(t, dir)
	for _, n := range all {
		storetest.Want(t, s, batch(n)...)
	}
	for d, err := range s.All(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Get(t.Context(), store.RawCid(d)); err != nil {
			t.Errorf("a block that has a row: %v", err)
		}
	}
	if len(all) < kills {
		t.Errorf("only %d batches were acknowledged in %d processes", len(all), kills)
	}
	t.Logf("%d batches acknowledged", len(all))
}
