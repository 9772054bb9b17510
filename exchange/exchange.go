// Package exchange carries blocks between people: over HTTP from whoever has them, and in CAR
// files.
//
// # HTTP
//
// Blocks are asked for by the protocol of the IPFS trustless gateway
// (https://specs.ipfs.tech/http-gateways/trustless-gateway/), one block a request:
//
//	GET /ipfs/<CID>?format=raw HTTP/1.1
//	Accept: application/vnd.ipld.raw
//
// The answer is status 200 with the bytes of the block, at most [store.MaxBlock], without
// Content-Encoding. 404, 410 and 451 say that the source does not have the block; that is not a
// failure of the source. Everything else is one. The bytes are hashed before anything else is done
// with them: a source that gives other bytes than the CID names is not asked again.
//
// An [Address] is http://HOST:PORT or https://HOST:PORT; the port may be absent (80 and 443).
// Addresses that come in messages are hints of others, and a [Policy] says which of them are
// followed, so that a message cannot make this machine talk to its own network. Package
// exchange/gateway is the other side.
//
// # What is fetched
//
// [Complete] walks from a root over links, level by level, and alongside from roots that are
// complete already. What both sides link is not looked at, so that the work is that of the
// difference.
//
// # CAR
//
// A CAR file (https://ipld.io/specs/transport/car/) is written as version 1: a header and then
// sections, each an unsigned varint with the length of what follows,
//
//	header:  varint, DAG-CBOR {"roots": [CID, ...], "version": 1}
//	section: varint, CID in binary, bytes of the block
//
// Blocks stand depth first from each root in turn, each block once. Versions 1 and 2 are read;
// the index of version 2 is not looked at. A file that ends before the end of a section, or in
// version 2 before the declared end of the data, is refused as a whole. Blocks to which the roots do
// not lead are left out, whatever the order: those that come before a block that links them wait
// in a temporary file.
package exchange

// Stats counts what an operation did.
type Stats struct {
	Blocks  int64 // blocks that were looked at, or written
	Fetched int64 // of these, blocks that came from others
	Bytes   int64 // of the blocks that came from others, or were written
}
