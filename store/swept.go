package store

// Swept is what a sweep has dropped, or would drop.
type Swept struct {
	Blocks int64 // blocks that nobody needs
	Bytes  int64 // of those blocks
	// Files is how many bytes of files go that no block needs. It can be more than Bytes, by what
	// killed processes have left, and less, as files with little garbage stay as they are.
	Files int64
}
