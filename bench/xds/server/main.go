// The peer: a management server on go-control-plane, with one of its two caches.
//
//	snapshot   one immutable snapshot for all nodes; a version for each type, which changes only if the type does
//	linear     a cache for each type behind a MuxCache; a version for each resource
//
// It serves `clusters` EDS clusters of `endpoints` each, a listener and a route configuration to every node, and prints its addresses as JSON when it does.
// POST /change?k=K changes the weight of one endpoint in each of the next K clusters. POST /collect collects garbage, gives it back, and answers with what is in use.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"time"

	clusterpb "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corepb "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointpb "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerpb "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routepb "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	discoverypb "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	"github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"github.com/envoyproxy/go-control-plane/pkg/server/sotw/v3"
	"github.com/envoyproxy/go-control-plane/pkg/server/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const group = "all"

type oneGroup struct{}

func (oneGroup) ID(*corepb.Node) string { return group }

// world is what is served. Messages are replaced, never changed: the caches keep them.
type world struct {
	clusters    []*clusterpb.Cluster
	assignments []*endpointpb.ClusterLoadAssignment
	next        int
	weight      uint32
}

func clusterName(n int) string { return fmt.Sprintf("outbound|80||service-%04d.test", n) }

func newWorld(clusters, endpoints int) *world {
	w := &world{weight: 1}
	for n := 0; n < clusters; n++ {
		name := clusterName(n)
		w.clusters = append(w.clusters, &clusterpb.Cluster{
			Name:                 name,
			ClusterDiscoveryType: &clusterpb.Cluster_Type{Type: clusterpb.Cluster_EDS},
			ConnectTimeout:       durationpb.New(time.Second),
			EdsClusterConfig: &clusterpb.Cluster_EdsClusterConfig{
				EdsConfig: &corepb.ConfigSource{
					ResourceApiVersion:    corepb.ApiVersion_V3,
					ConfigSourceSpecifier: &corepb.ConfigSource_Ads{Ads: &corepb.AggregatedConfigSource{}},
				},
			},
		})
		lb := make([]*endpointpb.LbEndpoint, endpoints)
		for e := range lb {
			lb[e] = endpoint(n, e, 1)
		}
		w.assignments = append(w.assignments, &endpointpb.ClusterLoadAssignment{
			ClusterName: name,
			Endpoints:   []*endpointpb.LocalityLbEndpoints{{LbEndpoints: lb}},
		})
	}
	return w
}

func endpoint(cluster, n int, weight uint32) *endpointpb.LbEndpoint {
	return &endpointpb.LbEndpoint{
		HostIdentifier: &endpointpb.LbEndpoint_Endpoint{Endpoint: &endpointpb.Endpoint{
			Address: &corepb.Address{Address: &corepb.Address_SocketAddress{SocketAddress: &corepb.SocketAddress{
				Address:       fmt.Sprintf("10.%d.%d.%d", cluster/250, cluster%250, n+1),
				PortSpecifier: &corepb.SocketAddress_PortValue{PortValue: 8000},
			}}},
		}},
		LoadBalancingWeight: wrapperspb.UInt32(weight),
	}
}

// change gives one endpoint in each of the next k clusters another weight and returns their numbers.
func (w *world) change(k int) []int {
	w.weight++
	changed := make([]int, 0, k)
	for ; k > 0; k-- {
		n := w.next
		w.next = (w.next + 1) % len(w.assignments)
		old := w.assignments[n]
		lb := append([]*endpointpb.LbEndpoint(nil), old.Endpoints[0].LbEndpoints...)
		lb[0] = endpoint(n, 0, w.weight)
		w.assignments[n] = &endpointpb.ClusterLoadAssignment{
			ClusterName: old.ClusterName,
			Endpoints:   []*endpointpb.LocalityLbEndpoints{{LbEndpoints: lb}},
		}
		changed = append(changed, n)
	}
	return changed
}

func listener() *listenerpb.Listener { return &listenerpb.Listener{Name: "gateway"} }

func route() *routepb.RouteConfiguration {
	return &routepb.RouteConfiguration{Name: "gateway", VirtualHosts: []*routepb.VirtualHost{{
		Name:    "all",
		Domains: []string{"*"},
		Routes: []*routepb.Route{{
			Match: &routepb.RouteMatch{PathSpecifier: &routepb.RouteMatch_Prefix{Prefix: "/"}},
			Action: &routepb.Route_Route{Route: &routepb.RouteAction{
				ClusterSpecifier: &routepb.RouteAction_Cluster{Cluster: clusterName(0)},
			}},
		}},
	}}}
}

// publisher is a cache that takes changes.
type publisher interface {
	cache() cache.Cache
	publish(w *world, changed []int) error
}

type snapshots struct {
	sets    cache.SnapshotCache
	version int
}

func newSnapshots(w *world) *snapshots {
	s := &snapshots{sets: cache.NewSnapshotCache(true, oneGroup{}, nil)}
	check(s.publish(w, nil))
	return s
}

func (s *snapshots) cache() cache.Cache { return s.sets }

func (s *snapshots) publish(w *world, _ []int) error {
	s.version++
	snapshot := &cache.Snapshot{}
	snapshot.Resources[types.Cluster] = cache.NewResources("1", resources(w.clusters))
	snapshot.Resources[types.Endpoint] = cache.NewResources(strconv.Itoa(s.version), resources(w.assignments))
	snapshot.Resources[types.Listener] = cache.NewResources("1", []types.Resource{listener()})
	snapshot.Resources[types.Route] = cache.NewResources("1", []types.Resource{route()})
	return s.sets.SetSnapshot(context.Background(), group, snapshot)
}

type linear struct {
	mux       *cache.MuxCache
	endpoints *cache.LinearCache
}

func newLinear(w *world) *linear {
	one := func(typeURL string, all map[string]types.Resource) *cache.LinearCache {
		return cache.NewLinearCache(typeURL, cache.WithInitialResources(all))
	}
	clusters := map[string]types.Resource{}
	assignments := map[string]types.Resource{}
	for n, each := range w.clusters {
		clusters[each.Name] = each
		assignments[each.Name] = w.assignments[n]
	}
	endpoints := one(resource.EndpointType, assignments)
	return &linear{
		endpoints: endpoints,
		mux: &cache.MuxCache{
			Classify:      func(request *cache.Request) string { return request.GetTypeUrl() },
			ClassifyDelta: func(request *cache.DeltaRequest) string { return request.GetTypeUrl() },
			Caches: map[string]cache.Cache{
				resource.ClusterType:  one(resource.ClusterType, clusters),
				resource.EndpointType: endpoints,
				resource.ListenerType: one(resource.ListenerType, map[string]types.Resource{"gateway": listener()}),
				resource.RouteType:    one(resource.RouteType, map[string]types.Resource{"gateway": route()}),
			},
		},
	}
}

func (l *linear) cache() cache.Cache { return l.mux }

func (l *linear) publish(w *world, changed []int) error {
	update := make(map[string]types.Resource, len(changed))
	for _, n := range changed {
		update[w.assignments[n].ClusterName] = w.assignments[n]
	}
	return l.endpoints.UpdateResources(update, nil)
}

func resources[T types.Resource](list []T) []types.Resource {
	all := make([]types.Resource, len(list))
	for n, each := range list {
		all[n] = each
	}
	return all
}

func main() {
	clusters := flag.Int("clusters", 100, "EDS clusters")
	endpoints := flag.Int("endpoints", 50, "endpoints of each")
	kind := flag.String("cache", "linear", "snapshot or linear")
	flag.Parse()

	w := newWorld(*clusters, *endpoints)
	var published publisher
	switch *kind {
	case "snapshot":
		published = newSnapshots(w)
	case "linear":
		published = newLinear(w)
	default:
		log.Fatalf("no cache %q", *kind)
	}

	xds, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	control, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	rpc := grpc.NewServer(
		grpc.MaxConcurrentStreams(1_000_000),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 30 * time.Second}),
	)
	discoverypb.RegisterAggregatedDiscoveryServiceServer(rpc,
		server.NewServer(context.Background(), published.cache(), nil, sotw.WithOrderedADS()))
	go func() { check(rpc.Serve(xds)) }()

	http.HandleFunc("POST /change", func(writer http.ResponseWriter, request *http.Request) {
		k, err := strconv.Atoi(request.URL.Query().Get("k"))
		if err != nil || k < 1 || k > *clusters {
			http.Error(writer, "k", http.StatusBadRequest)
			return
		}
		check(published.publish(w, w.change(k)))
	})
	go func() {
		// It ends with whoever started it.
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	check(json.NewEncoder(os.Stdout).Encode(map[string]string{
		"address": xds.Addr().String(), "control": control.Addr().String(),
	}))
	http.HandleFunc("POST /collect", func(writer http.ResponseWriter, _ *http.Request) {
		debug.FreeOSMemory()
		var memory runtime.MemStats
		runtime.ReadMemStats(&memory)
		check(json.NewEncoder(writer).Encode(map[string]uint64{"heapUsed": memory.HeapAlloc}))
	})
	check(http.Serve(control, nil))
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
