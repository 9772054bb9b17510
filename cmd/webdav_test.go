package cmd_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A davServer is a running serve -webdav.
type davServer struct {
	*testing.T
	cmd    *exec.Cmd
	url    string
	stderr string // the file with what it says
	client *http.Client
}

func (h *home) serveDAV(args ...string) *davServer {
	h.Helper()
	cmd, _ := h.command("serve", append([]string{"-repo", "a", "-webdav", "-listen", "127.0.0.1:0"}, args...)...)
	s := &davServer{T: h.T, cmd: cmd, stderr: filepath.Join(h.dir, "stderr"), client: &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
	}}}
	stderr, err := os.Create(s.stderr)
	if err != nil {
		h.Fatal(err)
	}
	defer stderr.Close()
	cmd.Stderr = stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		h.Fatal(err)
	}
	h.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		h.Fatalf("serve -webdav: %v", err)
	}
	s.url = strings.TrimSuffix(strings.TrimSpace(line), "/")
	return s
}

func (s *davServer) do(method, at, password, body string) (int, string) {
	s.Helper()
	req, err := http.NewRequestWithContext(s.Context(), method, s.url+at, strings.NewReader(body))
	if err != nil {
		s.Fatal(err)
	}
	req.SetBasicAuth("me", password)
	resp, err := s.client.Do(req)
	if err != nil {
		s.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		s.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func (s *davServer) want(status int, method, at, password, body string) string {
	s.Helper()
	got, text := s.do(method, at, password, body)
	if got != status {
		s.Errorf("%s %s: status %d, want %d: %s", method, at, got, status, text)
	}
	return text
}

// said returns what the server has said.
func (s *davServer) said() string {
	s.Helper()
	text, err := os.ReadFile(s.stderr)
	if err != nil {
		s.Fatal(err)
	}
	return string(text)
}

// end interrupts the server, which has to end well.
func (s *davServer) end(sig os.Signal) {
	s.Helper()
	s.client.CloseIdleConnections()
	s.cmd.Process.Signal(sig)
	if err := s.cmd.Wait(); err != nil {
		s.Fatalf("%v: %v\n%s", sig, err, s.said())
	}
}

func davHome(t *testing.T) *home {
	h := newHome(t)
	h.run("initialize", "-repo", "a")
	h.run("new-identity", "-repo", "a", "identities/me")
	h.sh("echo hello | add -repo a - root/docs/hello.txt")
	return h
}

func TestServeWebDAV(t *testing.T) {
	h := davHome(t)
	h.write("password", "secret\nand more\n", 0o600)
	s := h.serveDAV("-password-file", "password", "-user", "me")
	if got := s.want(200, "GET", "/root/docs/hello.txt", "secret", ""); got != "hello\n" {
		t.Errorf("hello.txt: %q", got)
	}
	s.want(401, "GET", "/root/docs/hello.txt", "Secret", "")
	s.want(201, "PUT", "/root/docs/new.txt", "secret", "new")
	s.want(403, "PUT", "/identities/me", "secret", "x")
	s.end(syscall.SIGTERM) // what is not committed yet is then
	if got := h.sh("cat -repo a root/docs/new.txt"); got != "new" {
		t.Errorf("new.txt: %q", got)
	}
	if left, err := os.ReadDir(filepath.Join(h.dir, "a", "workspaces")); err != nil || len(left) > 0 {
		t.Errorf("it leaves %v, %v", left, err)
	}
	if strings.Contains(s.said(), "secret") {
		t.Errorf("it says the password: %s", s.said())
	}
}

func TestServeWebDAVPasswords(t *testing.T) {
	h := davHome(t)
	s := h.serveDAV("-read-only")
	_, made, ok := strings.Cut(strings.TrimSpace(s.said()), "the password ")
	if !ok || len(made) < 26 {
		t.Fatalf("it says %q", s.said())
	}
	s.want(200, "GET", "/root/docs/hello.txt", made, "")
	s.want(403, "PUT", "/root/docs/hello.txt", made, "x")
	s.want(401, "GET", "/root/docs/hello.txt", "", "")
	s.end(os.Interrupt)
	t.Setenv("ARCHIVECACHE_WEBDAV_PASSWORD", "from outside")
	s = h.serveDAV()
	s.want(200, "GET", "/root/docs/hello.txt", "from outside", "")
	s.end(os.Interrupt)
	if s.said() != "" {
		t.Errorf("it says %s", s.said())
	}
}

// TestServeWebDAVKilled kills the server: what was answered is committed by the next one.
func TestServeWebDAVKilled(t *testing.T) {
	h := davHome(t)
	t.Setenv("ARCHIVECACHE_WEBDAV_PASSWORD", "secret")
	s := h.serveDAV()
	s.want(201, "PUT", "/root/docs/new.txt", "secret", "new")
	s.cmd.Process.Kill()
	s.cmd.Wait()
	s = h.serveDAV()
	if got := s.want(200, "GET", "/root/docs/new.txt", "secret", ""); got != "new" {
		t.Errorf("new.txt: %q", got)
	}
	s.end(os.Interrupt)
	h.run("fsck", "-repo", "a")
}

func TestServeWebDAVTLS(t *testing.T) {
	h := davHome(t)
	t.Setenv("ARCHIVECACHE_WEBDAV_PASSWORD", "secret")
	h.certificate()
	s := h.serveDAV("-listen", "0.0.0.0:0", "-tls-cert", "cert.pem", "-tls-key", "key.pem")
	if !strings.HasPrefix(s.url, "https://") {
		t.Errorf("it is at %s", s.url)
	}
	s.url = strings.Replace(s.url, "[::]", "127.0.0.1", 1)
	s.want(200, "GET", "/root/docs/hello.txt", "secret", "")
	if resp, err := http.Get("http" + strings.TrimPrefix(s.url, "https")); err == nil {
		if resp.Body.Close(); resp.StatusCode == 200 {
			t.Error("it answers in the clear")
		}
	}
	s.end(os.Interrupt)
}

// certificate writes cert.pem and key.pem.
func (h *home) certificate() {
	h.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		h.Fatal(err)
	}
	about := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, about, about, key.Public(), key)
	if err != nil {
		h.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		h.Fatal(err)
	}
	h.write("cert.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})), 0o644)
	h.write("key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), 0o600)
}

func (h *home) write(name, text string, mode os.FileMode) {
	h.Helper()
	at := filepath.Join(h.dir, name)
	if err := os.WriteFile(at, []byte(text), mode); err != nil {
		h.Fatal(err)
	}
	if err := os.Chmod(at, mode); err != nil {
		h.Fatal(err)
	}
}

func TestServeWebDAVRefusals(t *testing.T) {
	h := davHome(t)
	h.write("open", "secret\n", 0o644)
	h.write("empty", "\n", 0o600)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	for _, c := range []struct {
		status int
		says   string
		args   []string
	}{
		{1, "chmod 600", []string{"-webdav", "-password-file", "open"}},
		{1, "empty", []string{"-webdav", "-password-file", "empty"}},
		{1, "no such file", []string{"-webdav", "-password-file", "none"}},
		{1, "hint: give -tls-cert", []string{"-webdav", "-listen", "0.0.0.0:0"}},
		{1, "certificate: ", []string{"-webdav", "-tls-cert", "none", "-tls-key", "none"}},
		{1, "in use", []string{"-webdav", "-listen", ln.Addr().String()}},
		{1, "identities/none", []string{"-webdav", "-listen", "127.0.0.1:0", "-identity", "identities/none"}},
		{1, "hint: initialize", []string{"-repo", "none", "-webdav", "-listen", "127.0.0.1:0"}},
		{2, "go together", []string{"-webdav", "-tls-cert", "cert.pem"}},
		{2, "-read-only is for -webdav", []string{"-read-only"}},
		{2, "-password-file is for -webdav", []string{"-password-file", "open"}},
		{2, "-pages does not go with -webdav", []string{"-webdav", "-pages", "all"}},
	} {
		cmd, said := h.command("serve", append([]string{"-repo", "a"}, c.args...)...)
		cmd.Run()
		if got := cmd.ProcessState.ExitCode(); got != c.status || !strings.Contains(said.String(), c.says) {
			t.Errorf("serve %q: status %d, %s", c.args, got, said)
		}
	}
}
