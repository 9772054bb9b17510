package dav

import (
	"errors"
	"io/fs"
	"net/http"
	"slices"
	"syscall"

	"golang.org/x/net/webdav"
)

// A refusal is an error with the status that it is answered with.
type refusal struct {
	status int
	text   string // for the client
	xml    string // in place of text
}

func (e *refusal) Error() string { return e.text }

func refuse(status int, text string) error { return &refusal{status: status, text: text} }

var (
	errLocked    = refuse(webdav.StatusLocked, "locked by somebody else")
	errCondition = refuse(http.StatusPreconditionFailed, "it is not as expected")
	errTop       = refuse(http.StatusForbidden, "this cannot be changed")
	errInfinite  = &refusal{
		status: http.StatusForbidden,
		text:   "lists go one level deep",
		xml:    `<?xml version="1.0" encoding="utf-8"?>` + "\n" + `<D:error xmlns:D="DAV:"><D:propfind-finite-depth/></D:error>`,
	}
)

// refusals are the statuses of errors of the tree. To those that say that something is there, or not,
// the library has the right one.
var refusals = map[syscall.Errno]refusal{
	syscall.EACCES:       {status: http.StatusForbidden, text: "you may not change this"},
	syscall.EPERM:        {status: http.StatusForbidden, text: "you may not change this"},
	syscall.EROFS:        {status: http.StatusForbidden, text: "nothing can be changed"},
	syscall.EISDIR:       {status: http.StatusMethodNotAllowed, text: "it is a directory"},
	syscall.ENOTEMPTY:    {status: http.StatusConflict, text: "the directory is not empty"},
	syscall.EINVAL:       {status: http.StatusBadRequest, text: "this cannot be a name here"},
	syscall.ENAMETOOLONG: {status: http.StatusRequestURITooLong, text: "the name is too long, or stands too deep"},
	syscall.EFBIG:        {status: http.StatusRequestEntityTooLarge, text: "the file is too large"},
	syscall.ENOSPC:       {status: webdav.StatusInsufficientStorage, text: "no space left"},
	syscall.EDQUOT:       {status: webdav.StatusInsufficientStorage, text: "no space left"},
	syscall.EIO:          {status: http.StatusBadGateway, text: "a block of it could not be had"},
}

// refusalOf returns how an error is answered; nil is as the library does.
func refusalOf(err error) *refusal {
	var r *refusal
	var number syscall.Errno
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &r):
		return r
	case errors.As(err, &large):
		return &refusal{status: http.StatusRequestEntityTooLarge, text: "the body is too large"}
	case errors.As(err, &number):
		if known, ok := refusals[number]; ok {
			return &known
		}
	}
	if err == nil || slices.ContainsFunc(presence, func(one error) bool { return errors.Is(err, one) }) {
		return nil
	}
	return &refusal{status: http.StatusInternalServerError, text: "it could not be done"}
}

var presence = []error{syscall.ENOENT, syscall.ENOTDIR, syscall.EEXIST, syscall.ELOOP}

// pathError makes an error of the tree one that the library knows.
func pathError(op, name string, err error) error {
	if err == nil {
		return nil
	}
	var number syscall.Errno
	if errors.As(err, &number) {
		switch number {
		case syscall.ENOTDIR, syscall.ELOOP:
			err = fs.ErrNotExist
		default:
			err = number // without what it wraps, which is for the log
		}
	}
	return &fs.PathError{Op: op, Path: name, Err: err}
}
