package local

import (
	"os"
	"runtime"
	"runtime/debug"
)

// firstGC makes the first garbage collection wait for so many percent more than usual, which is
// from 4 MiB on.
const firstGC = 400

// deferGC spares a short command the garbage collector, unless the environment sets when it runs.
// Once there was something to collect, all is as usual, so memory does not grow with this.
func deferGC() {
	if os.Getenv("GOGC") != "" {
		return
	}
	debug.SetGCPercent(firstGC)
	runtime.AddCleanup(new([64]byte), func(usual int) { debug.SetGCPercent(usual) }, 100)
}
