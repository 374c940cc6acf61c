// The model behind every Envoy of the benchmark: it drops the request body and sends a canned answer, so it costs little.
// One listener per route; each answer names its route in x-upstream, by which the load generator checks the routing.
// With the request header x-bench-answer: sse the answer is an event stream, one flush per event, -pace apart, so that Envoy
// sees every event alone however slow its filter is. With x-bench-answer: replica the same stream begins only after a time such as a
// replica takes to its first token (-first, -first-jitter), and x-first-micros says how long that was.
//
//	upstream -routes none,gpt,claude -events FILE -answer FILE    prints {"none":"127.0.0.1:PORT",...} when it listens
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

type model struct {
	answer []byte
	events [][]byte
	pace   time.Duration
	first  *firstToken
}

func (m *model) serve(route string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return
		}
		header := w.Header()
		header["X-Upstream"] = []string{route}
		kind := r.Header.Get("X-Bench-Answer")
		if kind != "sse" && kind != "replica" {
			header["Content-Type"] = []string{"application/json"}
			_, _ = w.Write(m.answer)
			return
		}
		header["Content-Type"] = []string{"text/event-stream; charset=utf-8"}
		if kind == "replica" {
			begun := time.Now()
			time.Sleep(m.first.draw())
			// Sleep takes up to a millisecond longer than it is told, hence the time that it took.
			header["X-First-Micros"] = []string{strconv.FormatInt(time.Since(begun).Microseconds(), 10)}
		}
		controller := http.NewResponseController(w)
		for _, event := range m.events {
			if _, err := w.Write(event); err != nil {
				return
			}
			if err := controller.Flush(); err != nil {
				return
			}
			// Not towards a schedule: to catch up would send two events at once.
			time.Sleep(m.pace)
		}
	}
}

func run() error {
	routes := flag.String("routes", "none", "comma list of route names")
	answerFile := flag.String("answer", "", "file with the JSON answer")
	eventsFile := flag.String("events", "", "file with the event stream")
	pace := flag.Duration("pace", time.Millisecond, "least time between two events of one stream")
	first := flag.Duration("first", 25*time.Millisecond, "time before the first event of a stream with x-bench-answer: replica")
	jitter := flag.Float64("first-jitter", 0, "how far that time lies from -first at most, as a share of it")
	flag.Parse()
	answer, err := os.ReadFile(*answerFile)
	if err != nil {
		return err
	}
	stream, err := os.ReadFile(*eventsFile)
	if err != nil {
		return err
	}
	events := bytes.SplitAfter(bytes.TrimSpace(stream), []byte("\n\n"))
	m := &model{answer: answer, events: events, pace: *pace, first: newFirstToken(*first, *jitter)}
	last := len(m.events) - 1
	m.events[last] = append(bytes.Clone(m.events[last]), '\n', '\n')
	addresses := map[string]string{}
	for route := range strings.SplitSeq(*routes, ",") {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		addresses[route] = listener.Addr().String()
		go func() { log.Fatal(http.Serve(listener, m.serve(route))) }()
	}
	ready, err := json.Marshal(addresses)
	if err != nil {
		return err
	}
	fmt.Println(string(ready))
	// The parent holds our standard input open; when it goes, we go.
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}
