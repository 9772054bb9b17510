package kubo

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// address is where an API is.
type address struct {
	text string // as given
	url  string // for requests, without the path
	unix string // path of a socket, or ""
}

// findAddress reads an address, or that of the daemon of this user.
func findAddress(text string) (address, error) {
	if text != "" {
		return parseAddress(text)
	}
	file, err := apiFile()
	if err != nil {
		return address{}, err
	}
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return address{}, fmt.Errorf("IPFS daemon: %w: no daemon is running here, since there is no file %s", ErrUnreachable, file)
	}
	if err != nil {
		return address{}, fmt.Errorf("IPFS daemon: %w: %w", ErrUnreachable, err)
	}
	a, err := parseAddress(strings.TrimSpace(string(data)))
	if err != nil {
		return address{}, fmt.Errorf("%s: %w", file, err)
	}
	return a, nil
}

// apiFile returns the name of the file in which a daemon writes its address.
func apiFile() (string, error) {
	if dir := os.Getenv("IPFS_PATH"); dir != "" {
		return filepath.Join(dir, "api"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("IPFS daemon: %w: %w", ErrUnreachable, err)
	}
	return filepath.Join(home, ".ipfs", "api"), nil
}

func parseAddress(text string) (a address, err error) {
	if len(text) > 1000 {
		return a, fmt.Errorf("address of IPFS daemon: %d bytes", len(text))
	}
	if strings.HasPrefix(text, "http://") || strings.HasPrefix(text, "https://") {
		a, err = parseURL(text)
	} else {
		a, err = parseMultiaddr(text)
	}
	if err != nil {
		return a, fmt.Errorf("address of IPFS daemon %q: %w", text, err)
	}
	a.text = text
	return a, nil
}

func parseURL(text string) (address, error) {
	u, err := url.Parse(text)
	if err != nil {
		return address{}, errors.New("malformed URL")
	}
	if u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.Trim(u.Path, "/") != "" {
		return address{}, errors.New("want http://HOST:PORT and no more")
	}
	return address{url: u.Scheme + "://" + u.Host}, nil
}

func parseMultiaddr(text string) (address, error) {
	m, err := ma.NewMultiaddr(text)
	if err != nil {
		return address{}, err
	}
	network, host, err := manet.DialArgs(m)
	switch {
	case err != nil:
		return address{}, err
	case network == "unix":
		return address{url: "http://unix", unix: host}, nil
	case !strings.HasPrefix(network, "tcp"):
		return address{}, errors.New("want one that ends in /tcp/PORT")
	}
	scheme := "http://"
	for _, p := range m.Protocols() {
		if p.Code == ma.P_HTTPS || p.Code == ma.P_TLS {
			scheme = "https://"
		}
	}
	return address{url: scheme + host}, nil
}
