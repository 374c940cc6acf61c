// Changes: how the server is asked for them, one behind the other, in bursts and for minutes.

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// runChurn changes and reconnects, and returns what the server had used by each minute.
func runChurn(ctx context.Context, all []*client, arrivals <-chan arrival, full chan time.Time) []map[string]any {
	go func() {
		for range arrivals {
		}
	}()
	var minutes []map[string]any
	begin, changed, came := time.Now(), 0, 0
	cpuBefore := cpuMillis()
	for next := 0; time.Since(begin) < *churn; next = (next + *k) % *clusters {
		check(ask(changed, next))
		changed++
		if time.Since(begin) > time.Duration(came)*time.Second {
			old := all[came%len(all)]
			old.stop()
			all[came%len(all)] = start(ctx, old.number, old.arrivals, full)
			<-full
			came++
		}
		if time.Since(begin) > time.Duration(len(minutes)+1)*time.Minute {
			minutes = append(minutes, map[string]any{
				"rss": residentBytes(), "changes": changed, "reconnects": came, "cpuMs": cpuMillis() - cpuBefore,
			})
		}
		time.Sleep(*every)
	}
	// What is still on its way.
	time.Sleep(2 * time.Second)
	return minutes
}

// runBurst asks for changes of the same clusters 5 ms apart, and waits until nothing has come for 300 ms.
func runBurst(all []*client, arrivals <-chan arrival, at int) map[string]any {
	cpuBefore := cpuMillis()
	_, messagesBefore := totals(all)
	begin := time.Now()
	for n := 0; n < *burst; n++ {
		check(ask(*warmUp+*changes+n, at))
		time.Sleep(5 * time.Millisecond)
	}
	asked := time.Now()
	last := asked
	for quiet := false; !quiet; {
		select {
		case got := <-arrivals:
			last = got.at
		case <-time.After(300 * time.Millisecond):
			quiet = true
		}
	}
	_, messages := totals(all)
	return map[string]any{
		"changes": *burst, "askedMs": millis(asked.Sub(begin)), "lastAfterMs": millis(last.Sub(asked)),
		"cpuMs":             cpuMillis() - cpuBefore,
		"messagesPerStream": float64(messages-messagesBefore) / float64(len(all)),
	}
}

func clusterName(n int) string { return fmt.Sprintf("outbound|80||service-%04d.test", n) }

var httpClient = &http.Client{Timeout: time.Minute}

// ask makes the server change the next k clusters, beginning at `next`.
func ask(round, next int) error {
	method, url, body := http.MethodPost, *change+"?k="+strconv.Itoa(*k), ""
	if *weights != "" {
		type entry struct {
			Cluster string `json:"cluster"`
			Address string `json:"address"`
			Port    int    `json:"port"`
			Weight  int    `json:"weight"`
		}
		list := make([]entry, *k)
		for i := range list {
			n := (next + i) % *clusters
			list[i] = entry{clusterName(n), fmt.Sprintf("10.%d.%d.1", n/250, n%250), 8000, round%900 + 2}
		}
		encoded, err := json.Marshal(map[string]any{"changes": list})
		if err != nil {
			return err
		}
		method, url, body = http.MethodPut, *weights, string(encoded)
	}
	request, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("content-type", "application/json")
	answer, err := httpClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s %s: %s %s", method, url, answer.Status, text)
	}
	return err
}
