package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"runtime/debug"

	"archivecache/internal/cli"
	"archivecache/internal/local"
	"archivecache/internal/passphrase"
	"archivecache/internal/web"
	"archivecache/workspace"
	"archivecache/workspace/dav"
)

const (
	// passwordVariable is the environment variable that may hold the password of -webdav.
	passwordVariable = "ARCHIVECACHE_WEBDAV_PASSWORD"
	davListen        = "127.0.0.1:7071"
	// memory is how much of it the process takes with -webdav before it collects garbage harder, in bytes.
	memory = 160 << 20
)

// A davFlags is what only counts with -webdav.
type davFlags struct {
	identity, user, passwordFile string
	cert, key                    string
	hosts                        cli.Texts
	readOnly                     bool
	names                        []string
}

func (d *davFlags) declare(flags *flag.FlagSet) {
	before := map[string]bool{}
	flags.VisitAll(func(f *flag.Flag) { before[f.Name] = true })
	flags.StringVar(&d.identity, "identity", "", "with -webdav: the `PATH` of the author of what is written (default: your first identity)")
	flags.BoolVar(&d.readOnly, "read-only", false, "with -webdav: nothing can be written")
	flags.StringVar(&d.user, "user", "", "with -webdav: the `NAME` that goes with the password (default: any)")
	flags.StringVar(&d.passwordFile, "password-file", "", "with -webdav: the password is the first line of `FILE`, which only you may read (default $"+passwordVariable+", else a new one is printed)")
	flags.StringVar(&d.cert, "tls-cert", "", "with -webdav: the `FILE` with the certificate, in PEM")
	flags.StringVar(&d.key, "tls-key", "", "with -webdav: the `FILE` with the key of the certificate, in PEM")
	flags.Var(&d.hosts, "host", "with -webdav: a `NAME` that this machine may be asked by besides localhost and IP addresses; may be given several times")
	flags.VisitAll(func(f *flag.Flag) {
		if !before[f.Name] {
			d.names = append(d.names, f.Name)
		}
	})
}

// check refuses options that go with the other way to serve.
func (d *davFlags) check(env *local.Env, webdav bool) error {
	others := d.names
	if webdav {
		others = []string{"pages"}
	}
	for _, name := range others {
		if env.Given(name) && webdav {
			return cli.Usage("-%s does not go with -webdav", name)
		} else if env.Given(name) {
			return cli.Usage("-%s is for -webdav", name)
		}
	}
	if (d.cert == "") != (d.key == "") {
		return cli.Usage("-tls-cert and -tls-key go together")
	}
	return nil
}

// serveDAV shows the tree by WebDAV until ctx ends, and commits what is left then.
func serveDAV(ctx context.Context, env *local.Env, listen string, d *davFlags, verbose bool) error {
	debug.SetMemoryLimit(memory)
	password, made, err := d.password(env)
	if err != nil {
		return err
	}
	ln, err := d.listen(listen)
	if err != nil {
		return err
	}
	defer ln.Close()
	r, err := env.Repo()
	if err != nil {
		return err
	}
	defer r.Close()
	ws, err := workspace.Open(ctx, r, workspace.Options{Identity: d.identity, ReadOnly: d.readOnly, Command: env.Name, Log: env.Say})
	if err != nil {
		return err
	}
	handler, err := dav.NewHandler(ws, dav.Options{
		User: d.user, Password: password, Log: logger(env, verbose),
		AnyHost: !isLoopback(ln.Addr()), Hosts: append(d.hosts, web.HostName(listen)),
	})
	if err == nil {
		err = d.announce(env, ln.Addr(), made)
	}
	if err == nil {
		err = web.Serve(ctx, ln, handler, 0)
	}
	return errors.Join(err, ws.Close(context.WithoutCancel(ctx)))
}

// password returns the password, and the same once more if it was made for now.
func (d *davFlags) password(env *local.Env) (password, made string, err error) {
	if d.passwordFile != "" {
		line, err := passphrase.ReadFile(d.passwordFile)
		return string(line), "", err
	}
	if text, ok := os.LookupEnv(passwordVariable); ok {
		if text == "" {
			return "", "", fmt.Errorf("$%s: %w", passwordVariable, passphrase.ErrEmpty)
		}
		return text, "", nil
	}
	made = rand.Text()
	return made, made, nil
}

var errOpen = errors.New("others could read the password on the way")

// listen listens for the whole network only with TLS.
func (d *davFlags) listen(address string) (net.Listener, error) {
	var config *tls.Config
	if d.cert != "" {
		pair, err := tls.LoadX509KeyPair(d.cert, d.key)
		if err != nil {
			return nil, fmt.Errorf("certificate: %w", err)
		}
		config = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	}
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	if config != nil {
		return tls.NewListener(ln, config), nil
	}
	if !isLoopback(ln.Addr()) {
		ln.Close()
		return nil, cli.WithHint(fmt.Errorf("listen on %s: %w", address, errOpen),
			"give -tls-cert and -tls-key, or listen on 127.0.0.1 behind a proxy with TLS or an SSH tunnel")
	}
	return ln, nil
}

func isLoopback(at net.Addr) bool {
	tcp, ok := at.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}

// announce prints where the tree is, and a password that nobody knows yet.
func (d *davFlags) announce(env *local.Env, at net.Addr, made string) error {
	scheme := "http"
	if d.cert != "" {
		scheme = "https"
	}
	if made != "" {
		name := "any user name"
		if d.user != "" {
			name = "user name " + d.user
		}
		env.Say("%s://%s/ takes %s, and until it ends the password %s", scheme, at, name, made)
	}
	_, err := fmt.Fprintf(env.Stdout, "%s://%s/\n", scheme, at)
	return err
}
