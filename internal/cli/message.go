package cli

import (
	"archivecache/message"
)

// WriteMessage writes JSON, one object, to standard output as a message: binary, or as a line of
// base64.
func WriteMessage(env *Env, json []byte, text bool) error {
	encode := message.Encode
	if text {
		encode = message.EncodeText
	}
	data, err := encode(json)
	if err != nil {
		return err
	}
	if text {
		data = append(data, '\n')
	}
	_, err = env.Stdout.Write(data)
	return err
}
