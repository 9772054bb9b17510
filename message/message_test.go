package message

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/klauspost/compress/zlib"
	"pgregory.net/rapid"
)

// vectors returns the lines of a file in testdata that are not comments, split at sep.
func vectors(t testing.TB, name, sep string, fields int) [][]string {
	t.Helper()
	data, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	var lines [][]string
	for line := range strings.Lines(string(data)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		split := strings.Split(strings.TrimSuffix(line, "\n"), sep)
		if len(split) != fields {
			t.Fatalf("%s: %q has %d fields, want %d", name, line, len(split), fields)
		}
		lines = append(lines, split)
	}
	if len(lines) == 0 {
		t.Fatalf("%s: no vectors", name)
	}
	return lines
}

func unbase64(t testing.TB, text string) []byte {
	t.Helper()
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestDecodeVectors(t *testing.T) {
	for _, v := range vectors(t, "valid.txt", " | ", 3) {
		name, data, want := v[0], unbase64(t, v[1]), v[2]
		got, err := Decode(data)
		if err != nil || string(got) != want {
			t.Errorf("%s: Decode = %q, %v; want %q", name, got, err, want)
		}
		for _, input := range [][]byte{data, []byte(v[1])} {
			got, err := Read(bytes.NewReader(input))
			if err != nil || string(got) != want {
				t.Errorf("%s: Read(%.20q) = %q, %v; want %q", name, input, got, err, want)
			}
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	kinds := map[string]error{"corrupt": ErrCorrupt, "large": ErrTooLarge, "json": ErrJSON}
	for _, v := range vectors(t, "invalid.txt", " | ", 4) {
		got, err := Decode(unbase64(t, v[3]))
		if kinds[v[1]] == nil || !errors.Is(err, kinds[v[1]]) || !strings.Contains(err.Error(), v[2]) {
			t.Errorf("%s: Decode = %q, %v; want an error of kind %s that says %q", v[0], got, err, v[1], v[2])
		}
	}
}

func TestDecodeRefusesTruncation(t *testing.T) {
	for _, v := range vectors(t, "valid.txt", " | ", 3) {
		data := unbase64(t, v[1])
		for n := range data {
			if got, err := Decode(data[:n]); err == nil {
				t.Errorf("%s: the first %d of %d bytes decode to %q", v[0], n, len(data), got)
			}
		}
		for n := range v[1] {
			if got, err := Read(strings.NewReader(v[1][:n])); err == nil {
				t.Errorf("%s: the first %d of %d characters are read as %q", v[0], n, len(v[1]), got)
			}
		}
	}
}

func TestCanonicalVectors(t *testing.T) {
	for _, v := range vectors(t, "canonical.txt", "\t", 2) {
		got, err := Canonical([]byte(v[0]))
		if err != nil || string(got) != v[1] {
			t.Errorf("Canonical(%s) = %s, %v; want %s", v[0], got, err, v[1])
		}
		again, err := Canonical(got)
		if err != nil || !bytes.Equal(again, got) {
			t.Errorf("Canonical(%s) = %s, %v; want the same", got, again, err)
		}
	}
}

func TestCanonicalRefuses(t *testing.T) {
	for _, v := range vectors(t, "refused.txt", "\t", 2) {
		text, err := strconv.Unquote(v[0])
		if err != nil {
			t.Fatalf("%s: %v", v[0], err)
		}
		got, err := Canonical([]byte(text))
		if !errors.Is(err, ErrJSON) || !strings.Contains(err.Error(), v[1]) {
			t.Errorf("Canonical(%q) = %q, %v; want an error that says %q", text, got, err, v[1])
		}
		if _, err := Encode([]byte(text)); !errors.Is(err, ErrJSON) {
			t.Errorf("Encode(%q): %v; want %v", text, err, ErrJSON)
		}
	}
}

func TestDepth(t *testing.T) {
	// The outermost object is the first level, so MaxDepth-1 more may stand in it.
	nest := func(open, shut string, n int) []byte {
		return []byte(`{"a":` + strings.Repeat(open, n) + "0" + strings.Repeat(shut, n) + `}`)
	}
	for _, brackets := range [][2]string{{"[", "]"}, {`{"a":`, "}"}} {
		if _, err := Canonical(nest(brackets[0], brackets[1], MaxDepth-1)); err != nil {
			t.Errorf("%s nested %d deep: %v", brackets[0], MaxDepth, err)
		}
		for _, deep := range []int{MaxDepth, 1 << 20} {
			if _, err := Canonical(nest(brackets[0], brackets[1], deep)); !errors.Is(err, ErrJSON) {
				t.Errorf("%s nested %d deep: %v; want %v", brackets[0], deep+1, err, ErrJSON)
			}
		}
	}
}

func TestSizes(t *testing.T) {
	fill := func(n int) []byte { return []byte(`{"a":"` + strings.Repeat("b", n-8) + `"}`) }
	if data, err := Encode(fill(MaxInflated)); err != nil {
		t.Errorf("content of %d bytes: %v", MaxInflated, err)
	} else if _, err := Decode(data); err != nil {
		t.Errorf("content of %d bytes: %v", MaxInflated, err)
	}
	if _, err := Encode(fill(MaxInflated + 1)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("content of %d bytes: %v; want %v", MaxInflated+1, err, ErrTooLarge)
	}
	if _, err := Encode(noise(2 * MaxSize)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("what does not compress: %v; want %v", err, ErrTooLarge)
	}
	// Stored blocks cost five bytes each, so this is a little too long.
	if _, err := Decode(stored(t, fill(MaxSize))); !errors.Is(err, ErrTooLarge) {
		t.Errorf("%d bytes stored: %v; want %v", MaxSize, err, ErrTooLarge)
	}
	if _, err := Decode(stored(t, fill(MaxSize-200))); err != nil {
		t.Errorf("%d bytes stored: %v", MaxSize-200, err)
	}
	if _, err := Read(bytes.NewReader(bytes.Repeat([]byte("a "), MaxText))); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a long text: %v; want %v", err, ErrTooLarge)
	}
}

// noise returns JSON with n characters that hardly compress.
func noise(n int) []byte {
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	out := []byte(`{"a":"`)
	for x := uint64(1); n > 0; n-- {
		x = x*6364136223846793005 + 1442695040888963407
		out = append(out, digits[x>>58])
	}
	return append(out, `"}`...)
}

func stored(t testing.TB, content []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := zlib.NewWriterLevel(&out, zlib.NoCompression)
	if err != nil {
		t.Fatal(err)
	}
	w.Write(content)
	w.Close()
	return out.Bytes()
}

// bomb returns a message of n zeros, about a thousandth of them in size. Every 16 MiB but the
// first compress to the same bytes, so only 32 are compressed; the checksum is wrong.
func bomb(t testing.TB, n int) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := zlib.NewWriterLevel(&out, zlib.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	zeros := make([]byte, 16<<20)
	w.Write(zeros)
	w.Flush()
	first := out.Len()
	w.Write(zeros)
	w.Flush()
	part := bytes.Clone(out.Bytes()[first:])
	for range n/len(zeros) - 2 {
		out.Write(part)
	}
	return append(out.Bytes(), 0x03, 0, 0, 0, 0, 0) // an empty last block, a checksum
}

func TestBomb(t *testing.T) {
	data := bomb(t, 1<<30)
	if len(data) > MaxSize {
		t.Fatalf("the bomb has %d bytes, which is refused without inflating", len(data))
	}
	text := base64.StdEncoding.EncodeToString(data)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := Decode(data); !errors.Is(err, ErrTooLarge) {
		t.Errorf("Decode: %v; want %v", err, ErrTooLarge)
	}
	if _, err := Read(strings.NewReader(text)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("Read: %v; want %v", err, ErrTooLarge)
	}
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > 256<<20 {
		t.Errorf("a bomb took %d MiB", used>>20)
	}
}

// anyJSON draws an object, written with random white space by Go's own encoder.
func anyJSON(t *rapid.T) []byte {
	value := rapid.OneOf(rapid.String().AsAny(), rapid.Int64().AsAny(), rapid.Bool().AsAny(),
		rapid.SliceOf(rapid.String()).AsAny(), rapid.MapOf(rapid.String(), rapid.Int()).AsAny())
	object := rapid.MapOf(rapid.String(), value).Draw(t, "object")
	indent := rapid.StringMatching(`[ \t]{0,3}`).Draw(t, "indent")
	data, err := json.MarshalIndent(object, "", indent)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestEncodeDecode(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		given := anyJSON(t)
		want, err := Canonical(given)
		if err != nil {
			t.Fatalf("Canonical(%s): %v", given, err)
		}
		data, err := Encode(given)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := Decode(data); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("Decode = %s, %v; want %s", got, err, want)
		}
		var a, b any
		if json.Unmarshal(given, &a) != nil || json.Unmarshal(want, &b) != nil {
			t.Fatalf("Go's decoder does not read %s", want)
		}
		// Go's encoder sorts by bytes, too, so it is an oracle for the meaning.
		wantMeaning, _ := json.Marshal(a)
		if meaning, _ := json.Marshal(b); !bytes.Equal(meaning, wantMeaning) {
			t.Fatalf("Canonical(%s) = %s, which means something else", given, want)
		}
	})
}

func FuzzDecode(f *testing.F) {
	for _, v := range vectors(f, "valid.txt", " | ", 3) {
		f.Add(unbase64(f, v[1]))
	}
	for _, v := range vectors(f, "invalid.txt", " | ", 4) {
		f.Add(unbase64(f, v[3]))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		content, err := Decode(data)
		if err != nil {
			return
		}
		if again, err := Canonical(content); err != nil || !bytes.Equal(again, content) {
			t.Errorf("Canonical(%q) = %q, %v; want the same", content, again, err)
		}
	})
}

func FuzzCanonical(f *testing.F) {
	for _, v := range vectors(f, "canonical.txt", "\t", 2) {
		f.Add([]byte(v[0]))
	}
	for _, v := range vectors(f, "refused.txt", "\t", 2) {
		text, _ := strconv.Unquote(v[0])
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		content, err := Canonical(data)
		if err != nil {
			return
		}
		if again, err := Canonical(content); err != nil || !bytes.Equal(again, content) {
			t.Errorf("Canonical(%q) = %q, %v; want the same", content, again, err)
		}
		if !json.Valid(data) || !json.Valid(content) || len(content) > len(data) {
			t.Errorf("Canonical(%q) = %q", data, content)
		}
	})
}

// reference is about what a reference looks like.
var reference = []byte(`{".policy":"node_v1",".ipfs_hash":"bafyreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy",` +
	`".owner":"bafyreidykglsfhoixmivffc5uwhcgshx4j465xwqntbmu43nb2dzqwfvae",".sequence":7,".signature":"` +
	strings.Repeat("Ab3+", 22) + `"}`)

func BenchmarkEncode(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Encode(reference); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	data, err := Encode(reference)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Decode(data); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCanonicalLarge(b *testing.B) {
	content := noise(MaxInflated / 2)
	b.SetBytes(int64(len(content)))
	for b.Loop() {
		if _, err := Canonical(content); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCanonicalUnsorted is the worst case: all of it moves at every level.
func BenchmarkCanonicalUnsorted(b *testing.B) {
	content := []byte(strings.Repeat(`{"b":`, MaxDepth-1) + string(noise(MaxInflated-10_000)) + strings.Repeat(`,"a":0}`, MaxDepth-1))
	b.SetBytes(int64(len(content)))
	for b.Loop() {
		if _, err := Canonical(content); err != nil {
			b.Fatal(err)
		}
	}
}
