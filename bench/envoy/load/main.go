// A closed-loop load generator: a fixed number of requests over a fixed number of keep-alive connections, two request bodies
// in turn. Every answer is checked: status 200, the upstream that the model of its body must reach, the whole body there.
//
//	load -address 127.0.0.1:PORT -requests N -connections C -request FILE=UPSTREAM -request FILE=UPSTREAM -events 200
//
// prints one JSON object: requests, failures, firstFailure, seconds, framesPerAnswer, p50Micros, p99Micros (from writing a request to the last byte of
// its answer), with -first also firstMicros: from writing each request to the first byte of its answer's body. FILE=* may reach any upstream. With -number TEXT
// each request has its own number in place of that text, so that no two are the same. With -rate each waits for its turn, as long as a connection is free.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"math"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// requestTimeout ends a request that hangs: a filter that never releases it must fail the run, not stop it.
const requestTimeout = 30 * time.Second

type request struct {
	bytes    []byte
	upstream string
}

type requests []request

func (r *requests) String() string { return fmt.Sprint(len(*r)) }

func (r *requests) Set(value string) error {
	file, upstream, found := strings.Cut(value, "=")
	if !found {
		return fmt.Errorf("want FILE=UPSTREAM, got %q", value)
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	*r = append(*r, request{bytes: content, upstream: upstream})
	return nil
}

type load struct {
	address  string
	requests requests
	total    int64
	events   int
	next     atomic.Int64
	frames   atomic.Int64
	failures atomic.Int64
	first    atomic.Pointer[string]
	// By number of the request; each is written by the connection that sent it.
	times, firsts []time.Duration
	number        []byte
	from          int64
	started       time.Time
	// between two requests; 0: as soon as the answer before it is there.
	pace time.Duration
}

func (l *load) fail(err error) {
	l.failures.Add(1)
	text := err.Error()
	l.first.CompareAndSwap(nil, &text)
}

func (l *load) check(want request, got answer) error {
	if got.status != 200 || (want.upstream != "*" && got.upstream != want.upstream) {
		return fmt.Errorf("status %d from upstream %q, want 200 from %q: %.200q", got.status, got.upstream, want.upstream, got.body)
	}
	if l.events == 0 {
		if !bytes.HasSuffix(got.body, []byte("}")) {
			return fmt.Errorf("answer is cut: %.200q", got.body)
		}
		return nil
	}
	if events := bytes.Count(got.body, []byte("\n\n")); events != l.events || !bytes.HasSuffix(got.body, []byte("data: [DONE]\n\n")) {
		return fmt.Errorf("answer has %d events, want %d and [DONE]", events, l.events)
	}
	return nil
}

func (l *load) connection() {
	var conn net.Conn
	var in reader
	var numbered []byte
	defer func() {
		if conn != nil {
			_ = conn.Close()
		}
	}()
	for {
		number := l.next.Add(1) - 1
		if number >= l.total {
			return
		}
		if conn == nil {
			var err error
			if conn, err = net.DialTimeout("tcp", l.address, requestTimeout); err != nil {
				l.fail(err)
				conn = nil
				continue
			}
			in = reader{in: bufio.NewReaderSize(conn, 64<<10)}
		}
		want := l.requests[number%int64(len(l.requests))]
		if len(l.number) > 0 {
			numbered = append(numbered[:0], want.bytes...)
			place := bytes.Index(numbered, l.number)
			copy(numbered[place:], fmt.Appendf(nil, "%0*d", len(l.number), l.from+number))
			want.bytes = numbered
		}
		if l.pace > 0 {
			time.Sleep(time.Until(l.started.Add(time.Duration(number) * l.pace)))
		}
		begun := time.Now()
		got, err := exchange(conn, &in, want)
		l.times[number] = time.Since(begun)
		l.firsts[number] = got.first.Sub(begun)
		if err == nil {
			l.frames.Add(int64(got.frames))
			err = l.check(want, got)
		} else {
			_ = conn.Close()
			conn = nil
		}
		if err != nil {
			l.fail(err)
		}
	}
}

func exchange(conn net.Conn, in *reader, want request) (answer, error) {
	if err := conn.SetDeadline(time.Now().Add(requestTimeout)); err != nil {
		return answer{}, err
	}
	if _, err := conn.Write(want.bytes); err != nil {
		return answer{}, err
	}
	return in.read()
}

// quantile is the smallest of the sorted times that at least the given share does not exceed.
func quantile(sorted []time.Duration, share float64) float64 {
	rank := int(math.Ceil(share*float64(len(sorted)))) - 1
	return float64(sorted[max(rank, 0)].Nanoseconds()) / 1_000
}

func main() {
	var l load
	flag.StringVar(&l.address, "address", "", "host:port")
	flag.Int64Var(&l.total, "requests", 1, "how many requests in all")
	connections := flag.Int("connections", 1, "how many keep-alive connections")
	flag.IntVar(&l.events, "events", 0, "number of events that an answer must have; 0: a JSON answer")
	flag.Var(&l.requests, "request", "FILE=UPSTREAM: a whole HTTP/1.1 request and the upstream it must reach; may repeat")
	number := flag.String("number", "", "text that each request has its own number in place of")
	first := flag.Bool("first", false, "print firstMicros")
	rate := flag.Float64("rate", 0, "requests per second; 0: each as soon as the answer before it is there")
	from := flag.Int64("from", 0, "number of the first request")
	flag.Parse()
	if len(l.requests) == 0 || l.total < 1 {
		log.Fatal("no requests")
	}
	for _, request := range l.requests {
		if !bytes.Contains(request.bytes, []byte(*number)) {
			log.Fatalf("a request without %q", *number)
		}
	}
	l.number, l.from = []byte(*number), *from
	l.times, l.firsts = make([]time.Duration, l.total), make([]time.Duration, l.total)
	if *rate > 0 {
		l.pace = time.Duration(float64(time.Second) / *rate)
	}
	l.started = time.Now()
	var group sync.WaitGroup
	for range *connections {
		group.Go(l.connection)
	}
	group.Wait()
	seconds := time.Since(l.started).Seconds()
	slices.Sort(l.times)
	result := map[string]any{
		"requests":        l.total,
		"failures":        l.failures.Load(),
		"firstFailure":    l.first.Load(),
		"seconds":         seconds,
		"p50Micros":       quantile(l.times, 0.5),
		"p99Micros":       quantile(l.times, 0.99),
		"framesPerAnswer": float64(l.frames.Load()) / float64(l.total),
	}
	if *first {
		micros := make([]int64, l.total)
		for index, time := range l.firsts {
			micros[index] = time.Microseconds()
		}
		result["firstMicros"] = micros
	}
	if err := json.NewEncoder(os.Stdout).Encode(result); err != nil {
		log.Fatal(err)
	}
}
