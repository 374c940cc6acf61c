// One stream: what it asks for, what it has got, and how much came.

package main

import (
	"context"
	"fmt"
	"hash/maphash"
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
