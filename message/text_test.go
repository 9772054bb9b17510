package message

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/rogpeppe/go-internal/txtar"
)

// A mail is a file in testdata/mails: the text, the messages in it, and what the error says.
type mail struct {
	name, text, fault string
	want              []string
}

func mails(t testing.TB) []mail {
	t.Helper()
	names, err := filepath.Glob("testdata/mails/*.txt")
	if err != nil || len(names) == 0 {
		t.Fatalf("no mails: %v", err)
	}
	var all []mail
	for _, name := range names {
		archive, err := txtar.ParseFile(name)
		if err != nil {
			t.Fatal(err)
		}
		m := mail{name: filepath.Base(name)}
		for _, file := range archive.Files {
			switch file.Name {
			case "mail":
				m.text = string(file.Data)
			case "want":
				m.want = append(m.want, strings.TrimSpace(string(file.Data)))
			case "error":
				m.fault = strings.TrimSpace(string(file.Data))
			default:
				t.Fatalf("%s: unknown section %s", name, file.Name)
			}
		}
		if len(m.want) == 0 && m.fault == "" {
			t.Fatalf("%s wants nothing", name)
		}
		all = append(all, m)
	}
	return all
}

// check compares what ReadAll and Read make of text with what the mail says.
func (m mail) check(t *testing.T, text string) {
	t.Helper()
	got, err := ReadAll(iotest.HalfReader(strings.NewReader(text)))
	if m.fault == "" && err != nil || m.fault != "" && (err == nil || !strings.Contains(err.Error(), m.fault)) {
		t.Errorf("ReadAll: error %v; want %q", err, m.fault)
	}
	if fmt.Sprintf("%s", got) != fmt.Sprintf("%s", m.want) {
		t.Errorf("ReadAll = %s; want %s", got, m.want)
	}
	one, err := Read(strings.NewReader(text))
	switch len(m.want) {
	case 0:
		if err == nil || !strings.Contains(err.Error(), m.fault) {
			t.Errorf("Read = %s, %v; want an error that says %q", one, err, m.fault)
		}
	case 1:
		if err != nil || string(one) != m.want[0] {
			t.Errorf("Read = %s, %v; want %s", one, err, m.want[0])
		}
	default:
		if !errors.Is(err, ErrSeveral) {
			t.Errorf("Read = %s, %v; want %v", one, err, ErrSeveral)
		}
	}
}

func TestMails(t *testing.T) {
	for _, m := range mails(t) {
		t.Run(m.name, func(t *testing.T) {
			m.check(t, m.text)
			m.check(t, strings.TrimSuffix(m.text, "\n"))
			m.check(t, strings.ReplaceAll(m.text, "\n", "\r\n"))
			m.check(t, "\xef\xbb\xbf"+m.text)
			m.check(t, "L\xe4uft so\n\n"+m.text) // Latin-1
		})
	}
}

// TestWrapping reads messages of many lengths at every width, quoted and not.
func TestWrapping(t *testing.T) {
	for n := range 6 {
		content := noise(30 + n)
		text, err := EncodeText(content)
		if err != nil {
			t.Fatal(err)
		}
		for width := minWord; width <= len(text)+1; width++ {
			var lines []string
			for rest := string(text); rest != ""; rest = rest[min(width, len(rest)):] {
				lines = append(lines, rest[:min(width, len(rest))])
			}
			for _, sep := range []string{"\n", "\r\n", "\n> ", "\r\n> > ", " "} {
				got, err := Read(strings.NewReader("> " + strings.Join(lines, sep) + sep + "Bob"))
				if err != nil || !bytes.Equal(got, content) {
					t.Errorf("%s wrapped at %d with %q: %q, %v", text, width, sep, got, err)
				}
			}
		}
	}
}

func TestReadLarge(t *testing.T) {
	content := noise(700 << 10)
	text, err := EncodeText(content)
	if err != nil {
		t.Fatal(err)
	}
	for _, width := range []int{76, 8192, firstPart - 1, firstPart + 1, 1 << 17, len(text) - 1, len(text)} {
		var wrapped bytes.Buffer
		for rest := text; len(rest) > 0; rest = rest[min(width, len(rest)):] {
			fmt.Fprintf(&wrapped, "> %s\r\n", rest[:min(width, len(rest))])
		}
		got, err := Read(&wrapped)
		if err != nil || !bytes.Equal(got, content) {
			t.Errorf("wrapped at %d: %d bytes, %v", width, len(got), err)
		}
	}
}

func TestReadTooLarge(t *testing.T) {
	data := stored(t, []byte(`{"a":"`+strings.Repeat("b", MaxSize)+`"}`))
	for name, input := range map[string][]byte{
		"binary": data,
		"base64": base64.StdEncoding.AppendEncode(nil, data),
	} {
		if _, err := Read(bytes.NewReader(input)); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: %v; want %v", name, err, ErrTooLarge)
		}
	}
}

func TestReadAllBound(t *testing.T) {
	var text bytes.Buffer
	for n := range MaxMessages + 1 {
		line, err := EncodeText(fmt.Appendf(nil, `{"number":%d}`, n))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&text, "%s\n\n", line)
	}
	if got, err := ReadAll(bytes.NewReader(text.Bytes())); !errors.Is(err, ErrTooLarge) {
		t.Errorf("%d messages: got %d, %v; want %v", MaxMessages+1, len(got), err, ErrTooLarge)
	}
	_, rest, _ := bytes.Cut(text.Bytes(), []byte("\n\n"))
	if got, err := ReadAll(bytes.NewReader(rest)); err != nil || len(got) != MaxMessages {
		t.Errorf("%d messages: got %d, %v", MaxMessages, len(got), err)
	}
}

func TestReadJSON(t *testing.T) {
	_, err := Read(bytes.NewReader(reference))
	if !errors.Is(err, ErrNoMessage) || !strings.Contains(err.Error(), "message-from-json") {
		t.Errorf("Read of JSON: %v; want %v with the command that helps", err, ErrNoMessage)
	}
}

// TestFalseBeginnings gives texts in which nearly every word may begin a message.
func TestFalseBeginnings(t *testing.T) {
	for _, word := range []string{"eJwAAAAAAAAAAA ", "eJwAAAAAAAAAAA\n\n", "eJzzzzzzzzzzzz\n", "eJwAAAAAAAAAAA" + strings.Repeat(" A", 5000)} {
		text := strings.Repeat(word, MaxText/4/len(word))
		if got, err := ReadAll(strings.NewReader(text)); err == nil {
			t.Errorf("%.20q…: read as %q", word, got)
		}
	}
}

func TestReadError(t *testing.T) {
	want := errors.New("the line is dead")
	if _, err := Read(io.MultiReader(strings.NewReader("eJ"), iotest.ErrReader(want))); !errors.Is(err, want) {
		t.Errorf("Read: %v; want %v", err, want)
	}
}

func FuzzRead(f *testing.F) {
	for _, m := range mails(f) {
		f.Add([]byte(m.text))
	}
	for _, v := range vectors(f, "valid.txt", " | ", 3) {
		f.Add(unbase64(f, v[1]))
		f.Add([]byte(v[1]))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		all, err := ReadAll(bytes.NewReader(data))
		if err != nil && len(all) == 0 {
			return
		}
		one, err := Read(bytes.NewReader(data))
		if (len(all) == 1) != (err == nil) {
			t.Errorf("ReadAll gives %d messages, Read %v", len(all), err)
		}
		for _, content := range all {
			text, err := EncodeText(content)
			if err != nil {
				t.Fatalf("EncodeText(%q): %v", content, err)
			}
			again, err := Read(bytes.NewReader(text))
			if err != nil || !bytes.Equal(again, content) || len(all) == 1 && !bytes.Equal(one, content) {
				t.Errorf("Read(EncodeText(%q)) = %q, %v", content, again, err)
			}
		}
	})
}

func BenchmarkReadMail(b *testing.B) {
	text, err := os.ReadFile("testdata/mails/attachment.txt")
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, err := Read(bytes.NewReader(text)); err != nil {
			b.Fatal(err)
		}
	}
}
