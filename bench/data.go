package main

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
)

// noise yields bytes that no compressor makes smaller, the same for the same seed.
func noise(seed byte) *rand.ChaCha8 { return rand.NewChaCha8([32]byte{seed}) }

// makeSmall writes folders of 100 files each with 1 to 8 KiB of noise.
func makeSmall(dir string, folders int) error {
	random := noise(1)
	buf := make([]byte, 8<<10)
	for i := range folders {
		folder := filepath.Join(dir, fmt.Sprintf("folder-%03d", i))
		if err := os.MkdirAll(folder, 0o777); err != nil {
			return err
		}
		for j := range 100 {
			data := buf[:1<<10+random.Uint64()%(7<<10+1)]
			random.Read(data) // never fails
			if err := os.WriteFile(filepath.Join(folder, fmt.Sprintf("file-%02d.bin", j)), data, 0o666); err != nil {
				return err
			}
		}
	}
	return nil
}

// makeLarge writes a file of so many bytes of noise.
func makeLarge(path string, size int64) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 1<<20)
	_, err = io.CopyN(w, noise(2), size)
	if err == nil {
		err = w.Flush()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return err
}

// nestedName returns the place of file i among nested folders of 100.
func nestedName(i int) string {
	return fmt.Sprintf("%03d/%02d/file-%02d.txt", i/10_000, i/100%100, i%100)
}

// wideName returns the name of file i in a single folder.
func wideName(i int) string { return fmt.Sprintf("file-%07d.txt", i) }

// text is the content of file i as of a version.
func text(i, version int) string { return fmt.Sprintf("file %d, version %d\n", i, version) }

// makeTexts writes the files with the given numbers below dir.
func makeTexts(dir string, name func(int) string, numbers func(func(int) bool), version int) (err error) {
	last := ""
	for i := range numbers {
		path := filepath.Join(dir, name(i))
		if folder := filepath.Dir(path); folder != last {
			if err = os.MkdirAll(folder, 0o777); err != nil {
				break
			}
			last = folder
		}
		if err = os.WriteFile(path, []byte(text(i, version)), 0o666); err != nil {
			break
		}
	}
	return err
}

// upTo yields 0 to n-1.
func upTo(n int) func(func(int) bool) { return spread(n, n) }

// spread yields count numbers below n, at equal distances.
func spread(count, n int) func(func(int) bool) {
	return func(yield func(int) bool) {
		for i := range count {
			if !yield(i * n / count) {
				return
			}
		}
	}
}
