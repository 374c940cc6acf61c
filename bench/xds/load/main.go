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
	"fmt"
	"hash/maphash"
	"io"
	"log"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	corepb "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoverypb "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

const (
	prefix       = "type.googleapis.com/envoy.config."
	clusterType  = prefix + "cluster.v3.Cluster"
	endpointType = prefix + "endpoint.v3.ClusterLoadAssignment"
	listenerType = prefix + "listener.v3.Listener"
	routeType    = prefix + "route.v3.RouteConfiguration"
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

// arrival tells that a stream has got a resource.
type arrival struct {
	stream int
	name   string
	at     time.Time
}

// client is one stream. Its maps belong to its goroutine until the end.
type client struct {
	number   int
	held     map[string]uint64
	bytes    int64
	messages int64
	arrivals chan<- arrival
	full     chan<- time.Time
	mu       sync.Mutex
	stop     context.CancelFunc
}

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

func start(ctx context.Context, number int, arrivals chan<- arrival, full chan<- time.Time) *client {
	own, stop := context.WithCancel(ctx)
	c := &client{number: number, held: map[string]uint64{}, arrivals: arrivals, full: full, stop: stop}
	go c.run(own)
	return c
}

func (c *client) run(ctx context.Context) {
	connection, err := grpc.NewClient(*xds,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<20)))
	check(err)
	defer connection.Close()
	service := discoverypb.NewAggregatedDiscoveryServiceClient(connection)
	if *mode == "sotw" {
		c.runSotw(ctx, service)
	} else {
		c.runDelta(ctx, service)
	}
}

func (c *client) node() *corepb.Node {
	node := &corepb.Node{Id: fmt.Sprintf("envoy-%05d", c.number), Cluster: "bench"}
	if *verbose {
		describe(node)
	}
	return node
}

// seen takes the resource in. The name of an endpoint resource is told.
func (c *client) seen(typeURL, name string, body []byte) {
	c.held[typeURL+"/"+name] = maphash.Bytes(seed, body)
	if typeURL == endpointType {
		c.arrivals <- arrival{c.number, name, time.Now()}
	}
}

// answered is called when a response has been taken in; it tells when everything is there for the first time.
func (c *client) complete() bool { return len(c.held) == 2**clusters+2 }

func (c *client) runSotw(ctx context.Context, service discoverypb.AggregatedDiscoveryServiceClient) {
	stream, err := service.StreamAggregatedResources(ctx)
	check(err)
	names := map[string][]string{}
	request := func(typeURL, version, nonce string) {
		message := &discoverypb.DiscoveryRequest{
			TypeUrl: typeURL, ResourceNames: names[typeURL], VersionInfo: version, ResponseNonce: nonce,
		}
		if typeURL == clusterType && nonce == "" {
			message.Node = c.node()
		}
		_ = stream.Send(message) // Recv says why it is over
	}
	request(clusterType, "", "")
	done := false
	for {
		response, err := stream.Recv()
		if err != nil {
			return
		}
		c.count(response)
		for _, resource := range response.Resources {
			c.seen(response.TypeUrl, firstString(resource.Value), resource.Value)
		}
		request(response.TypeUrl, response.VersionInfo, response.Nonce)
		for _, follow := range c.follow(response.TypeUrl, names) {
			request(follow, "", "")
		}
		if !done && c.complete() {
			done = true
			c.full <- time.Now()
		}
	}
}

func (c *client) runDelta(ctx context.Context, service discoverypb.AggregatedDiscoveryServiceClient) {
	stream, err := service.DeltaAggregatedResources(ctx)
	check(err)
	names := map[string][]string{}
	subscribe := func(typeURL string, first bool) {
		message := &discoverypb.DeltaDiscoveryRequest{TypeUrl: typeURL, ResourceNamesSubscribe: names[typeURL]}
		if first {
			message.Node = c.node()
		}
		_ = stream.Send(message) // Recv says why it is over
	}
	subscribe(clusterType, true)
	done := false
	for {
		response, err := stream.Recv()
		if err != nil {
			return
		}
		c.count(response)
		for _, resource := range response.Resources {
			c.seen(response.TypeUrl, resource.Name, resource.Resource.GetValue())
		}
		_ = stream.Send(&discoverypb.DeltaDiscoveryRequest{TypeUrl: response.TypeUrl, ResponseNonce: response.Nonce})
		for _, follow := range c.follow(response.TypeUrl, names) {
			subscribe(follow, false)
		}
		if !done && c.complete() {
			done = true
			c.full <- time.Now()
		}
	}
}

// follow says which types are asked for behind the first response of one, and fills in their names.
func (c *client) follow(typeURL string, names map[string][]string) []string {
	switch {
	case typeURL == clusterType && names[endpointType] == nil:
		list := make([]string, *clusters)
		for n := range list {
			list[n] = clusterName(n)
		}
		names[endpointType] = list
		return []string{endpointType, listenerType}
	case typeURL == listenerType && names[routeType] == nil:
		names[routeType] = []string{*route}
		return []string{routeType}
	}
	return nil
}

func (c *client) count(message proto.Message) {
	size := int64(proto.Size(message))
	c.mu.Lock()
	c.bytes += size
	c.messages++
	c.mu.Unlock()
}

func totals(all []*client) (bytes, messages int64) {
	for _, each := range all {
		each.mu.Lock()
		bytes += each.bytes
		messages += each.messages
		each.mu.Unlock()
	}
	return bytes, messages
}

// firstString is field 1 of a message: the name, in every type that is asked for here.
func firstString(message []byte) string {
	for len(message) > 0 {
		number, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			break
		}
		message = message[n:]
		if number == 1 && kind == protowire.BytesType {
			value, _ := protowire.ConsumeBytes(message)
			return string(value)
		}
		n = protowire.ConsumeFieldValue(number, kind, message)
		if n < 0 {
			break
		}
		message = message[n:]
	}
	return ""
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

// cpuMillis is the CPU time of the server, user and system, of all its threads.
func cpuMillis() float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", *pid))
	check(err)
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+2:]))
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return float64(user+system) * 10
}

func residentBytes() int64 { return statusBytes("VmRSS:") }
func peakBytes() int64     { return statusBytes("VmHWM:") }

func statusBytes(field string) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", *pid))
	check(err)
	for _, line := range strings.Split(string(text), "\n") {
		if rest, found := strings.CutPrefix(line, field); found {
			kilobytes, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kilobytes * 1024
		}
	}
	return 0
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
