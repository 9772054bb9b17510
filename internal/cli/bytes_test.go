package cli

import "testing"

func TestParseBytes(t *testing.T) {
	for text, want := range map[string]uint64{
		"0": 0, "5000": 5000, "1KiB": 1024, "10MiB": 10 << 20, "2 GiB": 2 << 30, "3TiB": 3 << 40,
		"18446744073709551615": 1<<64 - 1,
	} {
		if got, err := ParseBytes(text); err != nil || got != want {
			t.Errorf("%s: %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "-1", "MiB", "1MB", "1mib", "1.5GiB", "+1", "16777216TiB", "18446744073709551616", "1MiBMiB"} {
		if got, err := ParseBytes(text); err == nil {
			t.Errorf("%q: %d", text, got)
		}
	}
}
