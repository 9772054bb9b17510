package kubo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
)

// maxRecord is how long an IPNS record may be, in bytes.
const maxRecord = 10 << 10

// PutRecord hands the IPNS record of a name, such as k51..., which leads to a path such as /ipfs/CID,
// to the daemon. If that is online it makes the record known in the network, and else keeps it.
// kubo answers with success whatever has become of it, so it is asked afterwards where the name
// leads; whether anybody else has heard of it nobody can say.
func (d *Daemon) PutRecord(ctx context.Context, name string, record []byte, path string) error {
	err := d.do(ctx, call{
		command:  "routing/put",
		args:     []string{"/ipns/" + name},
		options:  map[string]string{"allow-offline": "true"},
		body:     formFile(record),
		bodyType: formType,
		patience: waiting * d.timeout,
	}, func(r *reply) error {
		_, err := readAll(r, maxAnswer)
		return err
	})
	if err != nil {
		return err
	}
	var answer struct{ Path string }
	how := call{command: "name/resolve", args: []string{name}, options: map[string]string{
		"recursive": "false", "nocache": "true", "timeout": (d.timeout * 3 / 4).String(),
	}}
	if err := d.ask(ctx, how, &answer); err != nil {
		return fmt.Errorf("the record was not taken: %w", err)
	}
	if answer.Path != path {
		return d.wrap("name/resolve", fmt.Errorf("the record was not taken: %s leads to %.200q, and not to %s", name, answer.Path, path))
	}
	return nil
}

// Record returns the newest IPNS record of a name, such as k51..., that the daemon finds, as it came:
// it is not verified.
func (d *Daemon) Record(ctx context.Context, name string) (record []byte, err error) {
	// The daemon gives up first, so that it is not taken for one that is silent.
	how := call{command: "routing/get", args: []string{"/ipns/" + name}, options: map[string]string{"timeout": (d.timeout * 3 / 4).String()}}
	err = d.do(ctx, how, func(r *reply) error {
		data, err := readAll(r, 2*maxRecord) // in base64, with a little around it
		if err != nil {
			return err
		}
		record, err = decodeRecord(data)
		return err
	})
	return record, err
}

// decodeRecord reads the event that has a record.
func decodeRecord(data []byte) ([]byte, error) {
	var event struct{ Extra []byte }
	if err := json.Unmarshal(data, &event); err != nil {
		return nil, fmt.Errorf("answer %.60q: %w", data, err)
	}
	if len(event.Extra) == 0 || len(event.Extra) > maxRecord {
		return nil, errors.New("an answer without a record")
	}
	return event.Extra, nil
}

// String names the daemon.
func (d *Daemon) String() string { return "IPFS daemon at " + d.address }
