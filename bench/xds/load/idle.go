package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"time"

	corepb "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/types/known/structpb"
)

// runIdle opens streams as it is told and lets them be: each line of standard input is how many there are to be in all, and is answered with a line of JSON when all of them have
// everything. It ends with its standard input.
func runIdle(ctx context.Context) error {
	arrivals := make(chan arrival, 1<<16)
	go func() {
		for range arrivals {
		}
	}()
	full := make(chan time.Time)
	open := 0
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		wanted, err := strconv.Atoi(lines.Text())
		if err != nil || wanted < open {
			return fmt.Errorf("%q is no number of streams, or too small", lines.Text())
		}
		for ; open < wanted; open++ {
			start(ctx, open, arrivals, full)
			// One after the other: a server may refuse streams that come faster than it likes, and what a rush of them leaves behind is not what an idle stream takes.
			select {
			case <-full:
			case <-time.After(30 * time.Second):
				return fmt.Errorf("stream %d has not received everything after 30 s", open)
			}
		}
		if err := json.NewEncoder(os.Stdout).Encode(map[string]int{"streams": open}); err != nil {
			return err
		}
	}
	return nil
}

// describe says of a node what an Envoy 1.40 says: some metadata, and some 40 KB of the names of its extensions, which a server may drop.
func describe(node *corepb.Node) {
	node.UserAgentName = "envoy"
	node.ClientFeatures = []string{"envoy.lb.does_not_support_overprovisioning", "envoy.lrs.supports_send_all_clusters"}
	node.Locality = &corepb.Locality{Region: "eu-central-1", Zone: "eu-central-1a"}
	metadata, err := structpb.NewStruct(map[string]any{
		"NAMESPACE": "default", "MESH_ID": "cluster.local", "CLUSTER_ID": "Kubernetes", "role": "gateway",
		"LABELS": map[string]any{"app": "gateway", "version": "v1", "istio.io/rev": "default"},
	})
	check(err)
	node.Metadata = metadata
	for n := 0; n < 300; n++ {
		node.Extensions = append(node.Extensions, &corepb.Extension{
			Name: fmt.Sprintf("envoy.filters.http.extension_%03d", n), Category: "envoy.filters.http",
			TypeUrls: []string{fmt.Sprintf("envoy.extensions.filters.http.extension_%03d.v3.Extension", n)},
		})
	}
}
