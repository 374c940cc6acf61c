// Two ways to answer from Redis, with every request asking it: a reverse proxy of its own, and an external processor of Envoy. The key is the SHA-256 of the
// body, the value the content type, a line end, and the body of the answer. What is not there the proxy gets from the upstream and stores; the processor
// lets it pass.
//
//	redis_cache -redis 127.0.0.1:PORT -upstream 127.0.0.1:PORT     a proxy
//	redis_cache -redis 127.0.0.1:PORT -ext-proc                    a processor
//
// prints {"address":"127.0.0.1:PORT"} when it listens.
package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"strconv"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extproc "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"github.com/redis/go-redis/v9"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const lifetime = time.Hour

type store struct{ client *redis.Client }

func keyOf(question []byte) string {
	sum := sha256.Sum256(question)
	return "answer:" + string(sum[:])
}

// get returns content type and body; found is false when there is none.
func (s *store) get(ctx context.Context, key string) (contentType, body []byte, found bool, err error) {
	value, err := s.client.Get(ctx, key).Bytes()
	if errors.Is(err, redis.Nil) {
		return nil, nil, false, nil
	}
	if err != nil {
		return nil, nil, false, err
	}
	contentType, body, found = bytes.Cut(value, []byte("\n"))
	return contentType, body, found, nil
}

func (s *store) put(ctx context.Context, key, contentType string, body []byte) error {
	return s.client.Set(ctx, key, append([]byte(contentType+"\n"), body...), lifetime).Err()
}

type proxy struct {
	store    *store
	upstream string
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	question := make([]byte, max(r.ContentLength, 0))
	if _, err := io.ReadFull(r.Body, question); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	key := keyOf(question)
	contentType, body, found, err := p.store.get(r.Context(), key)
	state := "hit"
	if err == nil && !found {
		state = "miss"
		contentType, body, err = p.fetch(r, question)
		if err == nil {
			err = p.store.put(r.Context(), key, string(contentType), body)
		}
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	header := w.Header()
	header["Content-Type"] = []string{string(contentType)}
	header["Content-Length"] = []string{strconv.Itoa(len(body))}
	header["X-Cache"] = []string{state}
	_, _ = w.Write(body)
}

func (p *proxy) fetch(r *http.Request, question []byte) (contentType, body []byte, err error) {
	request, err := http.NewRequestWithContext(r.Context(), r.Method, "http://"+p.upstream+r.URL.Path, bytes.NewReader(question))
	if err != nil {
		return nil, nil, err
	}
	request.Header = r.Header.Clone()
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, nil, fmt.Errorf("upstream: %s", response.Status)
	}
	body, err = io.ReadAll(response.Body)
	return []byte(response.Header.Get("Content-Type")), body, err
}

type processor struct {
	extproc.UnimplementedExternalProcessorServer
	store *store
}

func (p *processor) Process(stream extproc.ExternalProcessor_ProcessServer) error {
	for {
		request, err := stream.Recv()
		if errors.Is(err, io.EOF) || status.Code(err) == codes.Canceled {
			return nil
		}
		if err != nil {
			return err
		}
		var response *extproc.ProcessingResponse
		switch message := request.Request.(type) {
		case *extproc.ProcessingRequest_RequestHeaders:
			// Nothing to do, but Envoy lets the headers go before the body is here unless they are sent to us too.
			response = &extproc.ProcessingResponse{Response: &extproc.ProcessingResponse_RequestHeaders{RequestHeaders: &extproc.HeadersResponse{}}}
		case *extproc.ProcessingRequest_RequestBody:
			if response, err = p.answer(stream.Context(), message.RequestBody.Body); err != nil {
				return err
			}
		default:
			return fmt.Errorf("unexpected message %T", message)
		}
		if err := stream.Send(response); err != nil {
			return err
		}
	}
}

func (p *processor) answer(ctx context.Context, question []byte) (*extproc.ProcessingResponse, error) {
	contentType, body, found, err := p.store.get(ctx, keyOf(question))
	if err != nil {
		return nil, err
	}
	if !found {
		return &extproc.ProcessingResponse{Response: &extproc.ProcessingResponse_RequestBody{RequestBody: &extproc.BodyResponse{}}}, nil
	}
	set := func(name string, value []byte) *core.HeaderValueOption {
		return &core.HeaderValueOption{
			Header:       &core.HeaderValue{Key: name, RawValue: value},
			AppendAction: core.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
		}
	}
	return &extproc.ProcessingResponse{Response: &extproc.ProcessingResponse_ImmediateResponse{
		ImmediateResponse: &extproc.ImmediateResponse{
			Status:  &typev3.HttpStatus{Code: typev3.StatusCode_OK},
			Headers: &extproc.HeaderMutation{SetHeaders: []*core.HeaderValueOption{set("content-type", contentType), set("x-cache", []byte("hit"))}},
			Body:    body,
		},
	}}, nil
}

func run() error {
	address := flag.String("redis", "", "host:port of Redis")
	upstream := flag.String("upstream", "", "host:port of the upstream; serves HTTP")
	external := flag.Bool("ext-proc", false, "serve Envoy's external processing in place of HTTP")
	flag.Parse()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go func() {
		// The parent holds our standard input open; when it goes, we go.
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	// A collection of garbage only now and then: this server has hardly any heap of its own.
	debug.SetGCPercent(800)
	answers := &store{client: redis.NewClient(&redis.Options{Addr: *address})}
	fmt.Printf("{\"address\":%q}\n", listener.Addr().String())
	if *external {
		server := grpc.NewServer()
		extproc.RegisterExternalProcessorServer(server, &processor{store: answers})
		return server.Serve(listener)
	}
	return http.Serve(listener, &proxy{store: answers, upstream: *upstream})
}

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}
