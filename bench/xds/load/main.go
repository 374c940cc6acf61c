// The load: many Envoys' worth of ADS streams, each on a connection of its own, as Envoy subscribes: all clusters, then the endpoints of each by name, the listener and its route.
//
// After all of them have everything it asks for `warm-up` and then `changes` changes, one when the last has reached every stream, and measures of the latter what each stream receives:
// time, bytes, and resources that nobody had changed. A response is answered at once. At the end all streams must hold the same bytes.
//
// It writes one JSON object. Times are in ms, sizes in bytes; CPU and memory are the server's.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"hash/maphash"
	"log"
	"os"
	"slices"
	"time"
)

var (
	xds      = flag.String("xds", "", "host:port of the server")
	mode     = flag.String("mode", "delta", "sotw or delta")
	streams  = flag.Int("streams", 10, "streams, each with a connection")
	clusters = flag.Int("clusters", 100, "clusters that the server has")
	change   = flag.String("change", "", "URL to POST to, for a change of ?k= clusters")
	weights  = flag.String("weights", "", "in place of -change: URL to PUT weights to")
	changes  = flag.Int("changes", 50, "changes that are measured")
	warmUp   = flag.Int("warm-up", 0, "changes before them that are not")
	k        = flag.Int("k", 10, "clusters in a change")
	burst    = flag.Int("burst", 0, "and then so many changes 5 ms apart")
	pid      = flag.Int("pid", 0, "of the server")
	churn    = flag.Duration("churn", 0, "in place of -changes: for so long, a change each -every, and a stream that comes anew each second")
	every    = flag.Duration("every", 100*time.Millisecond, "between the changes of -churn")
	idle     = flag.Bool("idle", false, "in place of all that: open the streams that standard input asks for, see runIdle")
	verbose  = flag.Bool("verbose-node", false, "nodes that say as much of themselves as an Envoy does")
	route    = flag.String("route", "gateway", "name of the route configuration")
	seed     = maphash.MakeSeed()
)

func main() {
	flag.Parse()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute+*churn)
	defer cancel()

	if *idle {
		check(runIdle(ctx))
		return
	}
	arrivals := make(chan arrival, 1<<16)
	full := make(chan time.Time, *streams)
	all := make([]*client, *streams)
	empty := residentBytes()
	cpuBefore := cpuMillis()
	begin := time.Now()
	for n := range all {
		all[n] = start(ctx, n, arrivals, full)
	}
	var first []float64
	for range all {
		first = append(first, millis((<-full).Sub(begin)))
	}
	report := map[string]any{
		"mode": *mode, "streams": *streams, "clusters": *clusters, "k": *k,
		"firstFull": quantiles(first), "firstFullCpuMs": cpuMillis() - cpuBefore,
		"rssEmpty": empty, "rssFull": residentBytes(),
	}
	drain(arrivals)
	if *churn > 0 {
		report["minutes"] = runChurn(ctx, all, arrivals, full)
		report["rssPeak"], report["rssEnd"] = peakBytes(), residentBytes()
		report["diverged"] = diverged(all)
		check(json.NewEncoder(os.Stdout).Encode(report))
		return
	}

	bytesBefore, messagesBefore := totals(all)
	cpuBefore = cpuMillis()
	var toStream, toLast []float64
	redundant := 0
	next := 0
	for round := 0; round < *warmUp+*changes; round++ {
		if round == *warmUp {
			toStream, toLast, redundant = nil, nil, 0
			bytesBefore, messagesBefore = totals(all)
			cpuBefore = cpuMillis()
		}
		wanted := map[string]bool{}
		for i := 0; i < *k; i++ {
			wanted[clusterName((next+i)%*clusters)] = true
		}
		missing := *streams * len(wanted)
		left := make([]int, *streams)
		for n := range left {
			left[n] = len(wanted)
		}
		begin := time.Now()
		check(ask(round, next))
		next = (next + *k) % *clusters
		for missing > 0 {
			got := <-arrivals
			if !wanted[got.name] {
				redundant++
				continue
			}
			missing--
			left[got.stream]--
			if left[got.stream] == 0 {
				toStream = append(toStream, millis(got.at.Sub(begin)))
			}
			if missing == 0 {
				toLast = append(toLast, millis(got.at.Sub(begin)))
			}
		}
	}
	// Whatever else a server may send for the last change comes with it.
	time.Sleep(100 * time.Millisecond)
	redundant += drain(arrivals)
	cpu := cpuMillis() - cpuBefore
	bytes, messages := totals(all)
	rounds := float64(max(*changes, 1))
	report["changeToStream"] = quantiles(toStream)
	report["changeToLast"] = quantiles(toLast)
	report["cpuMsPerChange"] = cpu / rounds
	report["bytesPerStreamAndChange"] = float64(bytes-bytesBefore) / rounds / float64(*streams)
	report["messagesPerStreamAndChange"] = float64(messages-messagesBefore) / rounds / float64(*streams)
	report["redundant"] = redundant

	if *burst > 0 {
		report["burst"] = runBurst(all, arrivals, next)
	}
	report["rssPeak"], report["rssEnd"] = peakBytes(), residentBytes()
	report["diverged"] = diverged(all)
	check(json.NewEncoder(os.Stdout).Encode(report))
}

func drain(arrivals <-chan arrival) int {
	for n := 0; ; n++ {
		select {
		case <-arrivals:
		default:
			return n
		}
	}
}

// diverged is how many streams do not hold what the first one does. Call it when nothing comes any more.
func diverged(all []*client) int {
	count := 0
	for _, each := range all[1:] {
		same := len(each.held) == len(all[0].held)
		for name, hash := range all[0].held {
			same = same && each.held[name] == hash
		}
		if !same {
			count++
		}
	}
	return count
}

func quantiles(values []float64) map[string]float64 {
	if len(values) == 0 {
		return nil
	}
	slices.Sort(values)
	at := func(q float64) float64 { return values[min(len(values)-1, int(q*float64(len(values))))] }
	return map[string]float64{"p50": at(0.5), "p99": at(0.99), "max": values[len(values)-1]}
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
