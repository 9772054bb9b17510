//go:build linux

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"archivecache/internal/cli"
	"archivecache/internal/local"

	"golang.org/x/sys/unix"
)

const (
	// backgroundVariable tells the process in the background that it is that.
	backgroundVariable = "ARCHIVECACHE_MOUNT_BACKGROUND"
	// readyFD is where it says that it has mounted.
	readyFD = 3
	logFile = "mount.log"
)

func inBackground(env *local.Env) bool { return env.Getenv(backgroundVariable) != "" }

// background starts this program once more, away from the terminal, and returns when that has
// mounted.
func background(env *local.Env) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("go into the background: %w", err)
	}
	from, to, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("go into the background: %w", err)
	}
	cmd := exec.Command(self, os.Args[1:]...)
	cmd.Stderr, cmd.ExtraFiles = os.Stderr, []*os.File{to}
	cmd.Env = append(os.Environ(), backgroundVariable+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := errors.Join(cmd.Start(), to.Close()); err != nil {
		return fmt.Errorf("go into the background: %w", err)
	}
	if _, err := io.ReadFull(from, make([]byte, 1)); err == nil {
		return cmd.Process.Release()
	}
	err = cmd.Wait() // it has said why
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return &cli.StatusError{Status: max(exit.ExitCode(), cli.ExitFailed)}
	}
	return err
}

// ready tells the process that waits, if there is one, that all is mounted. From then on standard
// error goes into a file of the repository.
func ready(env *local.Env, dir string) error {
	if !inBackground(env) {
		return nil
	}
	log, err := os.OpenFile(filepath.Join(dir, logFile), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		env.Say("there will be no log: %v", err)
		log, err = os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	}
	if err != nil {
		return fmt.Errorf("go into the background: %w", err)
	}
	defer log.Close()
	if err := unix.Dup2(int(log.Fd()), int(os.Stderr.Fd())); err != nil {
		return fmt.Errorf("go into the background: %w", err)
	}
	waiting := os.NewFile(readyFD, "ready")
	_, err = waiting.Write([]byte{1})
	return errors.Join(err, waiting.Close())
}
