package tree

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"archivecache/message"
)

// ParseValue returns the JSON value in text in its one spelling: compact, with sorted keys. It
// refuses what is not exactly one JSON value.
func ParseValue(text string) ([]byte, error) {
	if !json.Valid([]byte(text)) { // a text could close the object that is put around it
		return nil, fmt.Errorf("not a JSON value: %.40q", text)
	}
	const before, after = `{"v":`, `}`
	wrapped, err := message.Canonical([]byte(before + text + after))
	if err != nil {
		return nil, err
	}
	return wrapped[len(before) : len(wrapped)-len(after)], nil
}

// TextValue returns the JSON of a text.
func TextValue(text string) []byte {
	value, _ := json.Marshal(text) // a string always has a JSON text
	canonical, err := ParseValue(string(value))
	if err != nil {
		return value
	}
	return canonical
}

// WrapValue returns value as an object, which is what a message holds: itself if it is one, else
// {".policy": "value", ".value": value}.
func WrapValue(value []byte) []byte {
	if len(value) > 0 && value[0] == '{' {
		return value
	}
	return fmt.Appendf(nil, `{".policy":"value",".value":%s}`, value)
}

// UnwrapValue returns what WrapValue wrapped.
func UnwrapValue(object []byte) []byte {
	var wrapped struct {
		Policy string          `json:".policy"`
		Value  json.RawMessage `json:".value"`
	}
	d := json.NewDecoder(bytes.NewReader(object))
	d.DisallowUnknownFields()
	if d.Decode(&wrapped) == nil && wrapped.Policy == string(ValuePolicy) && wrapped.Value != nil {
		return wrapped.Value
	}
	return object
}

// ErrValue is a text that begins as a JSON object or list does, and is none.
var ErrValue = errors.New("neither a JSON value nor a plain text")

// ValueOf returns the value that a person means by text: JSON as it is, anything else as a text.
// With asText all is a text. What begins with { or [ and is no JSON value is [ErrValue]: it
// is more likely to be a slip than meant as a text.
func ValueOf(text string, asText bool) ([]byte, error) {
	if asText {
		return TextValue(text), nil
	}
	value, err := ParseValue(text)
	if err == nil {
		return value, nil
	}
	if start := strings.TrimLeft(text, " \t\r\n"); strings.HasPrefix(start, "{") || strings.HasPrefix(start, "[") {
		return nil, fmt.Errorf("%w: %w", ErrValue, err)
	}
	return TextValue(text), nil
}

// Matcher returns a function that tells whether a value is the one meant by text; with contains,
// whether it is a text that has text in it.
func Matcher(text string, contains bool) func(value []byte) bool {
	want, err := ValueOf(text, false)
	if err != nil {
		want = TextValue(text)
	}
	return func(value []byte) bool {
		var s string
		if contains {
			return json.Unmarshal(value, &s) == nil && strings.Contains(s, text)
		}
		return bytes.Equal(value, want)
	}
}
