// Package usage reads the token usage out of a model's answer while it passes, one piece at a time: a JSON body or a
// server-sent event stream. The Go Proxy-Wasm filter and the ext_proc server share it, so that both arms do the same work.
package usage

import (
	"bytes"

	"github.com/tidwall/gjson"
)

// maxPending bounds what is kept of an answer: a longer JSON answer or a longer single event is not counted.
const maxPending = 1 << 20

// Tokens is what the model reported.
type Tokens struct {
	Prompt     int64
	Completion int64
}

// Reader collects one answer. The zero value is ready.
type Reader struct {
	pending []byte
	tokens  Tokens
	started bool
	events  bool
	spent   bool
}

// Write takes the next piece, cut anywhere, and does not keep it.
func (r *Reader) Write(piece []byte) {
	if r.spent || len(piece) == 0 {
		return
	}
	if !r.started {
		// A JSON answer begins with a brace (or white space), an event stream with a field name or a comment.
		first := piece[0]
		r.events = first != '{' && first != ' ' && first != '\n' && first != '\r' && first != '\t'
		r.started = true
	}
	if r.events {
		r.writeEvents(piece)
		return
	}
	if len(r.pending)+len(piece) > maxPending {
		r.spend()
		return
	}
	r.pending = append(r.pending, piece...)
}

func (r *Reader) writeEvents(piece []byte) {
	if len(r.pending) > 0 {
		// Only the tail of an event that was cut by the network is joined; whole events are read in place.
		if len(r.pending)+len(piece) > maxPending {
			r.spend()
			return
		}
		r.pending = append(r.pending, piece...)
		piece = r.pending
	}
	for {
		end := bytes.Index(piece, []byte("\n\n"))
		if end < 0 {
			break
		}
		r.event(piece[:end])
		piece = piece[end+2:]
	}
	if len(piece) > maxPending {
		r.spend()
		return
	}
	r.pending = append(r.pending[:0], piece...)
}

func (r *Reader) event(event []byte) {
	data, found := bytes.CutPrefix(event, []byte("data: "))
	if !found || !bytes.Contains(data, []byte(`"usage"`)) {
		return
	}
	r.read(data)
}

func (r *Reader) read(document []byte) {
	found := gjson.GetBytes(document, "usage")
	if !found.IsObject() {
		return
	}
	r.tokens = Tokens{Prompt: found.Get("prompt_tokens").Int(), Completion: found.Get("completion_tokens").Int()}
}

func (r *Reader) spend() {
	r.spent = true
	r.pending = nil
}

// Finish ends the answer and returns the last usage reported in it (zero when there was none).
func (r *Reader) Finish() Tokens {
	if !r.events && len(r.pending) > 0 {
		r.read(r.pending)
	}
	r.spend()
	return r.tokens
}
