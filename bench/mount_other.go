//go:build !linux

package main

import (
	"context"
	"errors"
)

const loopbackCommand = "loopback"

func loopbackMain([]string) error { return errors.New("it is for Linux only") }

func (b *bench) mounts(context.Context) error { return nil }
