package kubo

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"archivecache/store/endpoint"
)

// findAddress reads an address, or that of the daemon of this user.
func findAddress(text string) (endpoint.Address, error) {
	if text != "" {
		return parseAddress(text)
	}
	file, err := apiFile()
	if err != nil {
		return endpoint.Address{}, err
	}
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return endpoint.Address{}, fmt.Errorf("IPFS daemon: %w: no daemon is running here, since there is no file %s", ErrUnreachable, file)
	}
	if err != nil {
		return endpoint.Address{}, fmt.Errorf("IPFS daemon: %w: %w", ErrUnreachable, err)
	}
	a, err := parseAddress(strings.TrimSpace(string(data)))
	if err != nil {
		return endpoint.Address{}, fmt.Errorf("%s: %w", file, err)
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

func parseAddress(text string) (endpoint.Address, error) {
	a, err := endpoint.Parse(text)
	if err != nil {
		return a, fmt.Errorf("address of IPFS daemon %.100q: %w", text, err)
	}
	return a, nil
}
