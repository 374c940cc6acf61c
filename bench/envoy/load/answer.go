package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"
)

// maxAnswer bounds what one answer may hold.
const maxAnswer = 16 << 20

// answer is what one response turned out to be. Body is only valid until the next read.
type answer struct {
	status   int
	upstream string
	body     []byte
	frames   int
	// first is when the first piece of the body began to be there.
	first time.Time
}

// reader parses HTTP/1.1 responses of one keep-alive connection without allocating per response: the generator shares two
// cores with the Envoy it loads, and net/http would cost as much as the proxy.
type reader struct {
	in    *bufio.Reader
	body  []byte
	first time.Time
}

func (r *reader) line() ([]byte, error) {
	line, err := r.in.ReadSlice('\n')
	if err != nil {
		return nil, err
	}
	return bytes.TrimRight(line, "\r\n"), nil
}

func (r *reader) take(size int) error {
	if size < 0 || len(r.body)+size > maxAnswer {
		return fmt.Errorf("answer longer than %d bytes", maxAnswer)
	}
	from := len(r.body)
	if cap(r.body) < from+size {
		r.body = append(make([]byte, 0, 2*(from+size)), r.body...)
	}
	r.body = r.body[:from+size]
	_, err := io.ReadFull(r.in, r.body[from:])
	return err
}

func (r *reader) chunks() (int, error) {
	for frames := 0; ; frames++ {
		line, err := r.line()
		if err != nil {
			return frames, err
		}
		if frames == 0 {
			r.first = time.Now()
		}
		size, err := strconv.ParseUint(string(line), 16, 32)
		if err != nil {
			return frames, fmt.Errorf("chunk size: %w", err)
		}
		if err := r.take(int(size)); err != nil {
			return frames, err
		}
		if _, err := r.in.Discard(2); err != nil {
			return frames, err
		}
		if size == 0 {
			return frames, nil
		}
	}
}

func (r *reader) read() (answer, error) {
	var result answer
	r.body = r.body[:0]
	line, err := r.line()
	if err != nil {
		return result, err
	}
	if len(line) < 12 || !bytes.HasPrefix(line, []byte("HTTP/1.1 ")) {
		return result, fmt.Errorf("not a status line: %q", line)
	}
	if result.status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return result, fmt.Errorf("status: %w", err)
	}
	length, chunked := -1, false
	for {
		if line, err = r.line(); err != nil {
			return result, err
		}
		if len(line) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(": "))
		switch {
		case bytes.EqualFold(name, []byte("content-length")):
			if length, err = strconv.Atoi(string(value)); err != nil {
				return result, fmt.Errorf("content-length: %w", err)
			}
		case bytes.EqualFold(name, []byte("transfer-encoding")):
			chunked = true
		case bytes.EqualFold(name, []byte("x-upstream")):
			result.upstream = string(value)
		}
	}
	switch {
	case chunked:
		result.frames, err = r.chunks()
	case length >= 0:
		r.first = time.Now()
		result.frames, err = 1, r.take(length)
	default:
		err = errors.New("answer without length")
	}
	result.body, result.first = r.body, r.first
	return result, err
}
